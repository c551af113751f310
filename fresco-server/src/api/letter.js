// The page that a letter's link leads to. The token stands behind the `#`, which browsers send to nobody;
// it is taken out of the address at once, and used only when a person says so: programs that look at
// mail follow links, too.
"use strict";
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);
const part = (id) => document.getElementById(id);
const resets = location.pathname === "/reset-password";

function tell(words) {
  part("told").textContent = words;
}

async function confirmed(event) {
  event.preventDefault();
  const body = { token, password: part("password").value };
  const call = resets ? "/api/auth.resetPassword" : "/api/auth.verifyEmail";
  const button = part("form").querySelector("button");
  button.disabled = true;
  try {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(call, { method: "POST", headers, body: JSON.stringify(body) });
    const told = await answer.json();
    if (answer.ok) {
      part("form").hidden = true;
      tell(resets ? "Your password is set. Sign in with it." : `${told.email} is confirmed. Sign in again.`);
      return;
    }
    tell(told.detail);
  } catch {
    tell("The platform does not answer. Try again.");
  }
  button.disabled = false;
}

part("title").textContent = resets ? "Set another password" : "Confirm your address";
if (token) {
  tell(resets ? "It signs your account out everywhere." : "It signs your account out everywhere; sign in again afterwards. If you have no account here, close this page.");
  if (!resets) {
    part("label").textContent = "Your password";
    part("password").autocomplete = "current-password";
    part("password").removeAttribute("minlength");
  }
  part("form").hidden = false;
  part("form").addEventListener("submit", confirmed);
} else {
  tell("This is not the whole link of the letter. Copy all of it.");
}
