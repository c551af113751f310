// Asks again and again, as long as somebody looks.
import { tell } from "./api.js";

/** Calls `ask` every so many milliseconds while the page is seen, and at once when it is seen again. One at a time. */
export function poll(ask, milliseconds) {
  let timer, busy = false;
  const round = async () => {
    clearTimeout(timer);
    if (busy || document.hidden) return;
    busy = true;
    // What went wrong is told by the frame; the next answer takes it back.
    await ask().catch(({ status }) => { if (status === 429 || status >= 500) tell("stale"); });
    busy = false;
    timer = setTimeout(round, milliseconds);
  };
  document.addEventListener("visibilitychange", round);
  round();
  return round;
}
