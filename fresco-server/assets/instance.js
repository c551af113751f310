// One instance: follows what is done with it, and notices what others do.
import { call, listen } from "./api.js";
import { renew, say } from "./live.js";
import { poll } from "./poll.js";

const root = () => document.getElementById("instance");
const operation = () => document.getElementById("current-operation").dataset;
// The page may stand at the address of a form that was refused, which nobody is to send once more.
const address = root().dataset.address;
if (location.pathname !== address) history.replaceState(null, "", address);

/** What is to be heard of it: how it stands, and what is done with it. */
function standings() {
  const words = (selector) => root().querySelector(selector)?.textContent;
  return [`${words("h1")}: ${words(".title .badge")}`, `${words("#current-operation h2")}: ${words("#current-operation .badge")}`];
}

let drawing = false, again = false;
async function draw() {
  again = true;
  if (drawing) return;
  drawing = true;
  const before = standings();
  while (again) {
    again = false;
    const focused = root().contains(document.activeElement);
    const more = await renew(["instance"]).catch(() => false);
    if (!more) break;
    if (focused && document.activeElement === document.body) document.getElementById("main").focus({ preventScroll: true });
    // What was said when it began has been said.
    if (!isOpen()) for (const notice of document.querySelectorAll("main > .notice:not(.error)")) notice.remove();
    follow();
  }
  say(standings().filter((words) => !before.includes(words)).join(". "));
  drawing = false;
}

const isOpen = () => ["initiated", "in_progress", "stuck"].includes(operation().status);

let followed;
function follow() {
  const { operation: id } = operation();
  if (followed === id || !isOpen()) return;
  followed = id;
  listen(`/api/operations/${id}/events`, {
    step: draw,
    progress: ({ progress }) => progress && fetched(progress),
    done: (_, close) => {
      close();
      draw();
    },
  });
}

/** How much of the app has been fetched. */
function fetched({ detail, doneBytes, totalBytes }) {
  const place = document.getElementById("progress");
  if (!place) return;
  const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  place.hidden = false;
  place.textContent = `${detail}: ${mb(doneBytes)}${totalBytes ? ` of ${mb(totalBytes)}` : ""}`;
}

follow();
let before;
poll(async () => {
  const told = await call("tenants.get", { tenantId: root().dataset.tenant });
  const [last] = told.operations, shown = operation();
  const key = (...parts) => parts.join(" ");
  const there = key(told.tenant.status, told.tenant.desiredState, last?.id, last?.status);
  const here = key(root().dataset.status, root().dataset.desired, shown.operation, shown.status);
  const now = JSON.stringify({ ...told, operations: [] });
  if (there !== here || (before && before !== now)) await draw();
  before = now;
}, 4000);
