// Lists of admins that change by themselves: looked at again every few seconds, while somebody looks.
import { renew } from "./live.js";

const PAUSE = 10_000;
const ids = [...document.querySelectorAll("[data-live]")].map((part) => part.id);
// What somebody is about to use, or to copy, stays as it is.
const inUse = (id) => {
  const part = document.getElementById(id), chosen = getSelection();
  return part.contains(document.activeElement) || (!chosen.isCollapsed && part.contains(chosen.anchorNode));
};

async function again() {
  if (document.visibilityState === "visible") {
    try {
      await renew(ids.filter((id) => !inUse(id)));
    } catch {
      // It was told already.
    }
  }
  setTimeout(again, PAUSE);
}
if (ids.length) setTimeout(again, PAUSE);
