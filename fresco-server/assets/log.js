// A log as it is written.
import { call, listen } from "./api.js";

const MOST_LINES = 2000;
const { tenant } = document.getElementById("app-log").dataset;
const lines = document.getElementById("log-lines");
const state = document.getElementById("log-state");
const pause = document.getElementById("log-pause");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const news = document.getElementById("log-news");

let paused = false, waiting = [], fresh = true;

function line({ at, stream: where, text }) {
  const row = document.createElement("div"), time = document.createElement("time");
  row.className = where;
  time.className = "clock";
  time.dateTime = at;
  time.textContent = clock.format(new Date(at));
  row.append(time, ` ${text}`);
  return row;
}

/** Writes what has come in; whoever reads further up stays there. */
function write() {
  if (paused || !waiting.length) return;
  const follows = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  if (fresh) lines.replaceChildren();
  fresh = false;
  lines.append(...waiting.map(line));
  waiting = [];
  while (lines.childElementCount > MOST_LINES) lines.firstElementChild.remove();
  lines.hidden = false;
  document.getElementById("log-empty").hidden = true;
  if (follows) lines.scrollTop = lines.scrollHeight;
}

let drawing;
function take(told) {
  waiting.push(told);
  if (waiting.length > MOST_LINES) waiting.shift();
  if (paused) news.textContent = waiting.length === 1 ? "1 new line" : `${waiting.length} new lines`;
  else drawing ??= requestAnimationFrame(() => {
    drawing = undefined;
    write();
  });
}

function follow() {
  listen(`/api/tenants/${tenant}/logs`, {
    line: take,
    end: (_, close) => {
      close();
      say("The app does not run");
      setTimeout(whenItRuns, 2000);
    },
  }, (anew) => {
    fresh = anew;
    if (anew) waiting = [];
    say("Live");
  });
}

/** Goes on as soon as the app runs again. */
async function whenItRuns() {
  const told = await call("tenants.get", { tenantId: tenant }).catch(() => null);
  if (told?.tenant.status === "destroyed") return;
  if (told?.tenant.status === "active" && !document.hidden) follow();
  else setTimeout(whenItRuns, 3000);
}

let said = "";
function say(words) {
  said = words;
  if (!paused) state.textContent = words;
}

pause.hidden = false;
document.getElementById("log-again").hidden = true;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  state.textContent = paused ? "Paused" : said;
  news.textContent = "";
  if (!paused) lines.scrollTop = lines.scrollHeight;
  write();
});
lines.scrollTop = lines.scrollHeight;
if (document.getElementById("app-log").dataset.status !== "destroyed") follow();
