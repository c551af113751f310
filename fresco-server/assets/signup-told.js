// What the wizard tells: above the step, and at the fields of its forms.

const at = (id) => document.getElementById(id);

/** Tells something above the step; `parts` are texts and elements. */
export function tell(kind, ...parts) {
  const place = at("told");
  place.className = `notice ${kind}`;
  place.setAttribute("role", kind === "error" ? "alert" : "status");
  place.replaceChildren(...parts);
  place.hidden = parts.length === 0;
  // The button that was pressed is far below, on a telephone.
  if (parts.length) place.scrollIntoView({ block: "nearest" });
}

export function link(href, text) {
  return Object.assign(document.createElement("a"), { href, textContent: text });
}

/** Says what is wrong with a field, or that nothing is. */
export function mark(id, words = "") {
  const wrong = at(`${id}-wrong`), field = at(id);
  wrong.textContent = words;
  wrong.hidden = !words;
  if (words) field?.setAttribute("aria-invalid", "true");
  else field?.removeAttribute("aria-invalid");
}

export function clear(form) {
  tell("error");
  for (const wrong of form.querySelectorAll(".wrong")) mark(wrong.id.replace(/-wrong$/, ""));
}

/** What has to be typed before the platform is asked. */
export function missing(form, ...wanted) {
  const empty = wanted.filter(([, there]) => !there);
  for (const [id, , words] of empty) mark(id, words);
  if (empty.length) (at(empty[0][0]) ?? form.querySelector(`[name="${empty[0][0]}"]`)).focus();
  return empty.length > 0;
}

/** Shows in the list of steps which one is shown, and leads to those up to the last that may be. */
export function showWay(steps, current, last) {
  const here = steps.includes(current) ? steps.indexOf(current) : steps.length;
  for (const item of document.querySelectorAll(".way li")) {
    const place = steps.indexOf(item.dataset.step), a = item.querySelector("a");
    item.classList.toggle("done", place >= 0 && place < here);
    if (item.dataset.step === current) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    if (place >= 0 && place <= last) a.href = `#${item.dataset.step}`;
    else a.removeAttribute("href");
  }
}
