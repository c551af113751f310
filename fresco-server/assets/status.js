// Looks again every 15 seconds, as long as somebody looks at it.
import { tell } from "./api.js";
import { renew } from "./live.js";

// The server's own drawing does not know whether there are scripts.
function live() {
  for (const words of document.querySelectorAll(".live")) words.hidden = false;
}

async function look() {
  if (document.hidden) return;
  try {
    if (await renew(["status"])) tell("online");
    live();
  } catch {
    // It was told already.
  }
}
live();
setInterval(look, 15000);
document.addEventListener("visibilitychange", look);
