// Asks again and again, as long as somebody looks.

/** Calls `ask` every so many milliseconds while the page is seen, and at once when it is seen again. One at a time. */
export function poll(ask, milliseconds) {
  let timer, busy = false;
  const round = async () => {
    clearTimeout(timer);
    if (busy || document.hidden) return;
    busy = true;
    // What went wrong is told by the frame.
    await ask().catch(() => {});
    busy = false;
    timer = setTimeout(round, milliseconds);
  };
  document.addEventListener("visibilitychange", round);
  round();
  return round;
}
