// Asks again and again, as long as somebody looks.
import { tell } from "./api.js";

/**
 * Calls `ask` every so many milliseconds while the page is seen, and at once when it is seen again, or when what this
 * returns is called. One at a time.
 */
export function poll(ask, milliseconds) {
  let timer, busy = false, again = false;
  const round = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    // What is under way may have been answered before.
    again = busy;
    if (busy) return;
    busy = true;
    // What went wrong is told by the frame; the next answer takes it back.
    await ask().catch(({ status }) => { if (status === 429 || status >= 500) tell("stale"); });
    busy = false;
    timer = setTimeout(round, again ? 0 : milliseconds);
  };
  document.addEventListener("visibilitychange", round);
  round();
  return round;
}
