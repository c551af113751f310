// Looks again every 15 seconds, as long as somebody looks at it.
import { renew } from "./live.js";

// The server's own drawing does not know whether there are scripts.
function live() {
  for (const words of document.querySelectorAll(".live")) words.hidden = false;
}

/** What stands there is of an earlier look. */
function unknown() {
  const overall = document.querySelector(".overall");
  overall.className = "overall bad";
  overall.querySelector("h2").textContent = "Not known at the moment";
  overall.querySelector("p").textContent = "The platform does not tell. What stands below is what it told last.";
}

let looking = false;
async function look() {
  if (document.hidden || looking) return;
  looking = true;
  const told = await renew(["status"]).catch(() => false);
  looking = false;
  if (!told) unknown();
  live();
}
live();
setInterval(look, 15000);
document.addEventListener("visibilitychange", look);
