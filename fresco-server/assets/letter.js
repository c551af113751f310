// The token of a letter's link stands behind its `#`: it goes into the form, and out of the address at once.
import "./app.js";

// Another letter's link, in the same tab.
addEventListener("hashchange", () => {
  if (location.hash) location.replace(`${location.pathname}?again${location.hash}`);
});

const form = document.getElementById("letter");
if (form) {
  const input = document.getElementById("token");
  const token = location.hash.slice(1);
  if (token) {
    history.replaceState(null, "", location.pathname);
    input.value = token;
  }
  const field = document.getElementById("token-field");
  field.hidden = Boolean(input.value);
  // What was refused already says what is wrong.
  document.getElementById("no-token").hidden = Boolean(input.value);
  (input.value ? document.getElementById("password") : input).focus();
}
