// The deployment as it happens: each event renews the page's own account of it.
import { listen } from "./api.js";
import "./app.js";
import { renew } from "./live.js";

const at = (id) => document.getElementById(id);
const here = () => at("deployment").dataset;
let watched = false, renewing = false, again = false, since = performance.now();

function say(words) {
  at("say").textContent = words;
}

/** Renews the page; once more if something happened meanwhile. */
async function changed() {
  if (renewing) {
    again = true;
    return;
  }
  renewing = true;
  const before = here().state, step = running();
  do {
    again = false;
    const done = await renew(["deployment"]).catch(() => false);
    if (!done) break;
    since = performance.now();
  } while (again);
  renewing = false;
  if (here().state !== before) {
    const title = at("deployment").querySelector("h1");
    say(title.textContent);
    title.focus();
  } else if (running() && running() !== step) {
    say(running());
  }
}

const running = () => at("deployment").querySelector(".steps li.running > span")?.firstChild.textContent ?? "";

const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** How much of the image has come: it is told while it comes, and kept nowhere. */
function pulled({ progress }) {
  const step = at("deployment").querySelector(".steps li.running");
  if (!progress || !step) return;
  let place = step.querySelector(".detail");
  if (!place) {
    place = Object.assign(document.createElement("span"), { className: "detail" });
    step.append(place);
  }
  const { detail, doneBytes, totalBytes } = progress;
  place.textContent = totalBytes ? `${mb(doneBytes)} of ${mb(totalBytes)}` : doneBytes ? mb(doneBytes) : detail;
}

function watch() {
  if (here().state !== "working" || watched) return;
  watched = true;
  listen(`/api/operations/${here().operation}/events`, {
    step: changed,
    progress: pulled,
    done: (_, close) => {
      close();
      watched = false;
      changed();
    },
  });
}

/** As the server writes it. */
function span(seconds) {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

setInterval(() => {
  const place = at("elapsed");
  if (place) place.textContent = span(Number(place.dataset.seconds) + Math.floor((performance.now() - since) / 1000));
}, 1000);
// When the end was told, and the page could not be asked for.
setInterval(async () => {
  if (here().state !== "working" || watched) return;
  await changed();
  watch();
}, 3000);
watch();
