// Whether a name can be had, while it is typed.
import { call } from "./api.js";

const input = document.getElementById("subdomain");
const place = document.getElementById("availability");
const suggestions = document.getElementById("suggestions");
const reasons = {
  taken: "Somebody has this one.", cooldown: "This one was somebody's until lately.",
  reserved: "This one is kept for the platform.", invalid: "A name can't be like this.",
};

function say(words, kind = "") {
  place.textContent = words;
  place.className = `availability ${kind}`;
}

function suggest(names) {
  suggestions.hidden = !names.length;
  suggestions.querySelector("ul").replaceChildren(...names.map((name) => {
    const item = document.createElement("li"), link = document.createElement("a");
    Object.assign(link, { className: "button quiet small", href: `/instances/new?subdomain=${name}`, textContent: name });
    item.append(link);
    return item;
  }));
}

let timer, asked;
async function check() {
  const subdomain = input.value.trim().toLowerCase();
  // An answer to what was typed before is nobody's any more.
  asked?.abort();
  asked = new AbortController();
  if (subdomain.length < 3) return say("");
  try {
    const told = await call("wizard.checkSubdomain", { subdomain }, { signal: asked.signal });
    say(told.available ? `${subdomain}${document.getElementById("domain").textContent} is free.` : reasons[told.reason] ?? "This one can't be had.", told.available ? "free" : "taken");
    suggest(told.suggestions);
  } catch (error) {
    if (error.name !== "AbortError") say("");
  }
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  asked?.abort();
  // What was wrong with the name before says nothing of this one.
  document.getElementById("subdomain-wrong")?.remove();
  input.removeAttribute("aria-invalid");
  say("");
  timer = setTimeout(check, 250);
});
suggestions.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  input.value = link.textContent;
  input.focus();
  input.dispatchEvent(new Event("input"));
});
if (input.value && !document.getElementById("subdomain-wrong")) check();
