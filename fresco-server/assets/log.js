// A log as it is written.
import { call, listen } from "./api.js";
import { renew } from "./live.js";
import { poll } from "./poll.js";

const MOST_LINES = 2000;
const { tenant } = document.getElementById("app-log").dataset;
const lines = document.getElementById("log-lines");
const state = document.getElementById("log-state");
const pause = document.getElementById("log-pause");
const news = document.getElementById("log-news");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });

let paused = false, waiting = [], fresh = true, lastDay;

/** A line. Where a day begins that is not today's, or no longer, its time has a date. */
function line({ at, stream: where, text }) {
  const row = document.createElement("div"), time = document.createElement("time");
  const moment = new Date(at), its = day.format(moment), today = day.format(new Date());
  row.className = where;
  time.className = "clock";
  time.dateTime = at;
  time.textContent = its === today && its === (lastDay ?? today) ? clock.format(moment) : `${its}, ${clock.format(moment)}`;
  lastDay = its;
  row.append(time, ` ${text}`);
  return row;
}

/** Writes what has come in; whoever reads further up stays there. */
function write() {
  if (paused || !waiting.length) return;
  const follows = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
  if (fresh) {
    lines.replaceChildren();
    lastDay = undefined;
  }
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

/** When the app was seen to run no longer. */
let ended = 0, reached = "";
/** Goes on after this event. An app that ends again and again is not told of as live in between. */
function follow(after = "") {
  let live;
  const start = ended ? 2000 : 0;
  ended = 0;
  listen(`/api/tenants/${tenant}/logs`, {
    line: take,
    end: (_, close) => {
      clearTimeout(live);
      reached = close();
      ended = performance.now();
      say("The app does not run");
      look();
    },
  }, {
    after,
    opened: (anew) => {
      fresh = anew;
      if (anew) waiting = [];
      clearTimeout(live);
      live = setTimeout(say, start, "Live");
      look();
    },
    // As while its container is made anew.
    refused: () => {
      clearTimeout(live);
      say("Waiting for the app");
      look();
    },
  });
}

/** Keeps the head true, and goes on as soon as the app runs again. */
const head = () => document.getElementById("log-head");
const look = poll(async () => {
  const { tenant: { status, desiredState, operation } } = await call("tenants.get", { tenantId: tenant });
  if (head().dataset.standing !== `${status} ${desiredState} ${operation?.id ?? ""}`) await renew(["log-head"]);
  if (ended && status === "active" && performance.now() - ended > 2000) follow(reached);
}, 3000);

let said = "";
function say(words) {
  said = words;
  if (!paused) state.textContent = words;
}

document.getElementById("log-again").hidden = true;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
  state.textContent = paused ? "Paused" : said;
  news.textContent = "";
  if (!paused) lines.scrollTop = lines.scrollHeight;
  write();
});
lines.scrollTop = lines.scrollHeight;
// Of one that was removed there is nothing to come.
if (document.getElementById("app-log").dataset.status !== "destroyed") {
  pause.hidden = false;
  follow();
}
