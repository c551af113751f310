// Whether a name can be had, told as it is typed.
import { call, Refusal } from "./api.js";

const PAUSE = 250; // milliseconds without a key
const AGAIN = 5000; // milliseconds after which a question that was not answered is asked again
export const WHY = {
  taken: "This name is taken.",
  subdomain_taken: "This name is taken.",
  reserved: "The platform keeps this name for itself.",
  invalid: "This can't be a name: 3 to 63 letters a–z, digits, and single hyphens between them; not digits alone.",
};

/** Watches the field; `changed` is called with each key. */
export function availability(field, changed = () => {}) {
  const place = document.getElementById("availability"), box = document.getElementById("suggestions");
  let asked = 0, timer, request, unanswered = false;

  function say(kind, words, names = []) {
    place.className = `availability ${kind}`;
    place.textContent = words;
    if (kind === "bad") field.setAttribute("aria-invalid", "true");
    else field.removeAttribute("aria-invalid");
    box.hidden = names.length === 0;
    box.querySelector("ul").replaceChildren(...names.map(chip));
  }

  function chip(name) {
    const item = document.createElement("li"), button = document.createElement("button");
    Object.assign(button, { type: "button", className: "chip", textContent: name });
    button.addEventListener("click", () => {
      field.value = name;
      field.focus();
      changed();
      ask();
    });
    item.append(button);
    return item;
  }

  /** Asks now. Of several answers that of the last question counts, whenever it comes. */
  async function ask(words = "") {
    clearTimeout(timer);
    request?.abort();
    request = new AbortController();
    const question = ++asked, subdomain = field.value.trim().toLowerCase();
    unanswered = false;
    if (!subdomain) return say("", "");
    let answer;
    try {
      answer = await call("wizard.checkSubdomain", { subdomain }, { signal: request.signal });
    } catch (error) {
      if (question !== asked || error.name === "AbortError") return;
      // Of anything else the name is not to blame.
      const wrong = error instanceof Refusal && error.status === 422;
      unanswered = !wrong;
      if (error instanceof Refusal && !wrong) timer = setTimeout(ask, AGAIN);
      return say(wrong ? "bad" : "", error.message);
    }
    if (question !== asked) return;
    if (answer.available) return say("good", `${subdomain} is free.`);
    const until = answer.availableFrom && new Date(answer.availableFrom).toLocaleDateString("en-GB", { dateStyle: "medium" });
    const why = answer.reason === "cooldown"
      ? `This name is kept for who had it before, until ${until}.`
      : WHY[answer.reason] ?? "This name can't be had.";
    say("bad", words || why, answer.suggestions);
  }

  document.addEventListener("connection", ({ detail }) => {
    if (detail === "online" && unanswered) ask();
  });
  field.addEventListener("input", () => {
    changed();
    // What was wrong with the name that was sent says nothing of this one.
    document.getElementById("subdomain-wrong")?.remove();
    clearTimeout(timer);
    asked += 1;
    say("", field.value.trim() ? "Looking …" : "");
    timer = setTimeout(ask, PAUSE);
  });

  return {
    say,
    /** Asks about what stands there. */
    look: () => ask(),
    /** The platform refused the name with these words. */
    refused: (words) => {
      say("bad", words);
      field.focus();
      return ask(words);
    },
  };
}
