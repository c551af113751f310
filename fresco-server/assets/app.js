// What every page has: the connection's banner, passwords that can be looked at, copying, times in the
// visitor's own zone, dialogs.
import { call, tell } from "./api.js";
import { forgetSignUp, kept } from "./signup-kept.js";

const words = {
  offline: "The platform can't be reached at the moment. This page goes on by itself as soon as it can.",
  stale: "The platform does not answer as it should. What you see may be old; this page tries again by itself.",
  expired: "Your session has ended.",
};

function banner(state) {
  const place = document.getElementById("connection");
  if (place.dataset.state === state) return;
  place.dataset.state = state;
  place.hidden = !words[state];
  place.textContent = words[state] ?? "";
  if (state === "expired") {
    const link = document.createElement("a");
    link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "Sign in again";
    place.append(" ", link);
  }
}
/** Asks until the platform answers: what goes on by itself is told then. */
let asking;
function askAgain() {
  asking = undefined;
  if (document.getElementById("connection").dataset.state !== "offline") return;
  call("auth.getSession").catch(() => null).finally(() => { asking ??= setTimeout(askAgain, 3000); });
}
document.addEventListener("connection", ({ detail }) => {
  banner(detail);
  if (detail === "offline") asking ??= setTimeout(askAgain, 3000);
});
addEventListener("offline", () => tell("offline"));
// There is a network again, which need not be one where the platform is.
addEventListener("online", () => {
  clearTimeout(asking);
  askAgain();
});

/** Prepares what is in this part of a page; call it again for what was put there later. */
export function prepare(part) {
  for (const place of part.querySelectorAll("[data-reveal]:not([data-ready])")) {
    place.dataset.ready = "";
    const button = Object.assign(document.createElement("button"), { type: "button", className: "button quiet", textContent: "Show" });
    const input = place.querySelector("input");
    button.setAttribute("aria-controls", input.id);
    button.setAttribute("aria-label", "Show the password");
    button.addEventListener("click", () => {
      const shown = input.type === "password";
      input.type = shown ? "text" : "password";
      button.textContent = shown ? "Hide" : "Show";
      button.setAttribute("aria-label", `${button.textContent} the password`);
    });
    place.append(button);
  }
  for (const button of part.querySelectorAll("[data-copy]:not([data-ready])")) {
    button.dataset.ready = "";
    // Browsers let pages copy only where nobody can listen: by https, and on one's own machine.
    if (!navigator.clipboard) continue;
    button.hidden = false;
    const before = button.textContent;
    button.addEventListener("click", async () => {
      const done = await navigator.clipboard.writeText(button.dataset.copy).then(() => true, () => false);
      button.textContent = done ? "Copied" : "Copy it by hand";
      setTimeout(() => { button.textContent = before; }, 2000);
    });
  }
  const when = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
  for (const time of part.querySelectorAll("time[datetime]:not([data-ready])")) {
    time.dataset.ready = "";
    time.textContent = when.format(new Date(time.dateTime));
  }
  // A link to what needs a second look opens it as a dialog; without scripts it is a page of its own.
  for (const opener of part.querySelectorAll("[data-dialog]:not([data-ready])")) {
    opener.dataset.ready = "";
    opener.addEventListener("click", (event) => {
      event.preventDefault();
      const dialog = document.getElementById(opener.dataset.dialog);
      // By then the opener may have been drawn again, or be gone.
      dialog.addEventListener("close", () => (document.getElementById(opener.id) ?? document.getElementById("main")).focus(), { once: true });
      dialog.showModal();
    });
  }
  for (const closer of part.querySelectorAll("dialog [data-close]:not([data-ready])")) {
    closer.dataset.ready = "";
    closer.addEventListener("click", (event) => {
      event.preventDefault();
      closer.closest("dialog").close();
    });
  }
}
prepare(document);

// Whoever is signed in has signed up, also where the answer that said so was lost. The session of it would
// let in who comes to this browser next.
const leave = document.querySelector("form[action='/logout']");
if (leave && !kept.read().tenant) forgetSignUp();
leave?.addEventListener("submit", forgetSignUp);

// What stands behind the `#` of an address is not for the content's place: some pages read it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});

// What an action led to was told; a page that is loaded again doesn't tell it again.
const shown = new URL(location.href);
if (shown.searchParams.has("done") && document.querySelector("main > .notice")) {
  shown.searchParams.delete("done");
  history.replaceState(history.state, "", shown);
}

// A password that is looked at is sent, and kept by the browser, as one nevertheless.
document.addEventListener("submit", (event) => {
  for (const input of event.target.querySelectorAll("[data-reveal] input[type=text]")) input.nextElementSibling?.click();
}, true);

// Where a form was refused, the first field that is to be put right.
document.querySelector("form [aria-invalid=true]")?.focus();

// A form is sent once.
document.addEventListener("submit", (event) => {
  const button = event.target.method === "post" && event.submitter;
  if (!button || event.defaultPrevented) return;
  const connection = document.getElementById("connection");
  if (connection.dataset.state === "offline") {
    // The browser's own page would take the place of this one, and of what was typed.
    event.preventDefault();
    // Nothing behind a dialog is seen or heard.
    event.target.closest("dialog")?.close();
    connection.textContent = "This was not sent, since the platform can't be reached. Try again as soon as this line is gone.";
    return;
  }
  if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
  button.setAttribute("aria-disabled", "true");
  // Nobody is told when the browser was stopped.
  setTimeout(() => button.removeAttribute("aria-disabled"), 15_000);
});
// Coming back by the browser's button shows the page as it was left, which may be long ago.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
