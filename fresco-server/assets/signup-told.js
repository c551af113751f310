// What the wizard tells: above the step, and at the fields of its forms.

const at = (id) => document.getElementById(id);

/** Tells something above the step; `parts` are texts and elements. */
export function tell(kind, ...parts) {
  const place = at("told");
  place.className = `notice ${kind}`;
  place.setAttribute("role", kind === "error" ? "alert" : "status");
  place.replaceChildren(...parts);
  place.hidden = parts.length === 0;
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
