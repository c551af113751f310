// Renews parts of a page with what the server would render now: there is one way to draw each thing.
import { PATIENCE, tell } from "./api.js";
import { prepare } from "./app.js";

/** How the server wrote what was put in. */
const written = new WeakMap();

/**
 * Replaces the elements of these ids by those of the same page, asked for again, unless they were put in before
 * just like that: nothing changes under somebody's hand without need. Keeps the focus, and what was opened. How the
 * platform answers is told to the frame.
 */
export async function renew(ids, url = location.href) {
  const asked = performance.now();
  const wish = fetch(url, { headers: { accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) });
  const answer = await wish.catch((error) => {
    tell("offline", asked);
    throw error;
  });
  if (answer.redirected && new URL(answer.url).pathname === "/login") {
    tell("expired");
    return false;
  }
  // The page is another one by now, as when somebody else ended what it told of.
  const to = new URL(answer.url);
  if (answer.redirected && to.pathname !== new URL(url, location.href).pathname) {
    location.replace(to);
    return false;
  }
  if (!answer.ok) {
    if (answer.status === 429 || answer.status >= 500) tell("stale");
    return false;
  }
  tell("online", asked);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.title = page.title;
  for (const id of ids) {
    const now = document.getElementById(id), then = page.getElementById(id);
    if (!now || !then || written.get(now) === then.outerHTML) continue;
    written.set(then, then.outerHTML);
    const focused = now.contains(document.activeElement) ? document.activeElement : null, read = focused?.scrollTop;
    const open = [...now.querySelectorAll("details[open][id]")].map((details) => details.id);
    now.replaceWith(document.adoptNode(then));
    for (const details of open) document.getElementById(details)?.setAttribute("open", "");
    prepare(then);
    const again = focused?.id && document.getElementById(focused.id);
    if (!again) continue;
    // Whoever looks at another part of the page stays there.
    again.focus({ preventScroll: true });
    again.scrollTop = read;
  }
  return true;
}

/** Tells this to who listens instead of looking. The page's place for it is in no part that is drawn again. */
export function say(words) {
  if (words) document.getElementById("say").textContent = words;
}
