// The wizard: steps 1 to 4 of signing up, and the wish for the instance. What is done is kept by the
// server, in a session whose secret alone is kept here, for other tabs and for when the page is loaded
// again; the password is not kept at all. From the deployment on, the server's own page takes over.
import { call, Offline, Refusal } from "./api.js";
import "./app.js";
import { availability, WHY } from "./availability.js";
import { forgetSignUp, invited, kept, KEY } from "./signup-kept.js";
import { measure } from "./signup-strength.js";
import { readDocuments } from "./signup-texts.js";
import { clear, link, mark, missing, showWay, tell } from "./signup-told.js";

const STEPS = ["account", "use", "address", "terms"];
const at = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const site = document.title.split(" · ").at(-1);

let session = null;      // the session's secret
let state = null;        // what the server knows of it
let current = "";        // the step that is shown
let known = false;       // the address has an account with another password
let otherEmail = false;  // the address is typed anew although a code is awaited
let goal = "";           // where a link leads, past forms that are sent first

/** Says so at the field that is meant, and above the step where there is none. */
function refuse(form, error) {
  if (!(error instanceof Refusal || error instanceof Offline)) throw error;
  if (error.code === "unknown_session") return ended();
  if (error.code === "code_spent") return ended("Too many codes were wrong. Type your password again, and you get another letter.");
  if (error instanceof Offline) return tell("error", "This was not sent, since the platform can't be reached. Try again once it can.");
  const field = FIELDS[error.code] ?? error.field;
  const shown = field && form.querySelector(`#${field}-wrong`);
  if (!shown) return tell("error", error.message);
  mark(field, error.message);
  (at(field) ?? form.querySelector(`[name="${field}"]`))?.focus();
}
const FIELDS = { invite_required: "invite", email_domain_refused: "email", wrong_code: "code" };

/** A form that is sent once at a time, and says what was refused. `send` tells which step comes next, if one does. */
function onSubmit(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector(".onward .button");
    if (form.getAttribute("aria-busy") === "true") return;
    form.setAttribute("aria-busy", "true");
    button.setAttribute("aria-disabled", "true");
    clear(form);
    let next;
    try {
      next = await send();
    } catch (error) {
      refuse(form, error);
    } finally {
      form.removeAttribute("aria-busy");
      button.removeAttribute("aria-disabled");
    }
    const to = STEPS.indexOf(goal) > STEPS.indexOf(next) ? goal : next;
    goal = "";
    if (next) go(to, {}, next);
  });
}

// ---- Steps.

const needsCode = () => state?.emailVerified === false;

/** The last step that may be shown. */
function furthest() {
  if (!state || needsCode()) return 0;
  return Math.min(state.stepCompleted, STEPS.length - 1);
}

function show(step, { focus = true, replace = false } = {}) {
  const allowed = STEPS.indexOf(step) <= furthest() || step === "deployment";
  current = allowed ? step : STEPS[furthest()];
  for (const section of document.querySelectorAll("#wizard > section")) section.hidden = section.id !== current;
  if (current === "account") showAccount();
  at("over").hidden = !session || current === "deployment";
  showWay(STEPS, current, current === "deployment" ? -1 : furthest());
  if (current === "address") address.look();
  if (current === "terms") readDocuments();
  if (location.hash !== `#${current}`) history[replace ? "replaceState" : "pushState"](null, "", `#${current}`);
  document.title = `${at(`${current}-title`).textContent} · ${site}`;
  if (focus) at(`${current}-title`).focus();
}

const renamed = () => at("email").value.trim() !== state.email || at("name").value.trim() !== (state.data.name ?? "");
/** What stands in the form of a step and is not what the server holds. */
const EDITED = {
  account: () => renamed() || at("password").value,
  use: () => useCase() !== state.data.useCase || (useCase() === "other" && at("otherText").value.trim() !== (state.data.otherText ?? "")),
  address: () => subdomain() !== state.data.subdomain,
};

/** Goes to a step. What was typed on the way there and never sent is sent first. */
function go(step, how, from = current) {
  const way = STEPS.slice(Math.max(STEPS.indexOf(from), 0), Math.min(STEPS.indexOf(step), furthest()));
  const unsent = way.find((step) => EDITED[step]());
  show(unsent ?? step, how);
  if (!unsent) return;
  goal = step;
  at(`${unsent}-form`).requestSubmit();
}

function showAccount() {
  const code = needsCode() && state.stepCompleted > 0 && !otherEmail;
  at("account-form").hidden = code;
  at("code-form").hidden = !code;
  at("account-title").textContent = code ? "Is this your address?" : "Make your account";
  at("code-email").textContent = state?.email ?? "";
  hintPassword();
}

function hintPassword() {
  at("password-hint").textContent = known ? "The password of the account that this address has."
    : !state?.stepCompleted ? "At least 10 characters. A few words in a row are easy to remember."
    : renamed() ? "Type your password once more, since you changed something here."
    : "Leave it empty to keep the one that you typed.";
}
at("account-form").addEventListener("input", hintPassword);

const useCase = () => document.querySelector("[name=useCase]:checked")?.value;
const subdomain = () => at("subdomain").value.trim().toLowerCase();

/** Fills the forms with what the server knows, also from another tab; what was typed here and not sent stays. */
function fill(before) {
  const { email, data = {} } = state ?? {}, { data: old = {} } = before ?? {};
  for (const [id, known, was] of [["email", email, before?.email], ["name", data.name, old.name],
    ["otherText", data.otherText, old.otherText], ["subdomain", data.subdomain, old.subdomain]]) {
    if (!at(id).value || at(id).value === was) at(id).value = known ?? "";
  }
  const chosen = useCase() && useCase() !== old.useCase ? null : document.querySelector(`[name=useCase][value="${data.useCase}"]`);
  if (chosen) chosen.checked = true;
  for (const id of ["termsAccepted", "privacyAccepted"]) at(id).checked ||= data[id] === true;
  useChanged();
  addressChanged();
  at("sum-email").textContent = email ?? "";
  at("sum-address").textContent = data.subdomain ? addressOf(data.subdomain) : "";
}

const addressOf = (name) => at("wizard").dataset.before + name + at("wizard").dataset.after;

function addressChanged() {
  at("preview").textContent = addressOf(subdomain() || "…");
}

/** What a step answered. */
function took(answer) {
  const before = state;
  state = answer;
  fill(before);
}

const OVER = "This sign-up was begun more than an hour ago and has ended. What you typed still stands here; only your password has to be typed again.";
const GONE = `The sign-up that was begun here has ended after an hour, and nothing was created. ${at("invite") ? "Open the link of your invite once more, and begin anew." : "Begin anew."}`;

/** The session is good no more: what was typed still stands in the forms. */
function ended(words = OVER) {
  kept.forget();
  session = state = null;
  tell("warning", words);
  show("account", { replace: true });
  at("told").focus();
}

const update = (step, data) => call("wizard.updateSession", { sessionId: session, step, data });

// ---- 1. Account.

onSubmit(at("account-form"), async () => {
  const [email, name, password] = [at("email").value.trim(), at("name").value.trim(), at("password").value];
  const invite = at("invite")?.value.trim();
  const same = session && state?.email === email;
  const unchanged = same && !known && state.stepCompleted > 0 && !EDITED.account();
  if (missing(at("account-form"), ["email", email, "Type your e-mail address."],
    ["password", password || unchanged, "Type a password."],
    ["invite", invite === undefined || invite || same, "Type the invite that you were sent, or open its link."])) return null;
  if (!unchanged) {
    const before = state;
    if (!same) {
      const begun = await call("wizard.createSession", { email, ...(invite && { invite }) });
      session = begun.sessionId;
      state = { email, stepCompleted: 0, data: {} };
      kept.write({ session });
      invited.forget();
    }
    took(await update(1, { password, ...(name && { name }) }));
    known = false;
    at("password").value = "";
    measure();
    if (!same && before) await carryOver(before.data);
  }
  otherEmail = false;
  if (needsCode()) {
    show("account", { replace: true });
    return null;
  }
  return "use";
});

/** What was chosen for another address holds for this one, as far as it can. */
async function carryOver({ useCase, otherText, subdomain }) {
  try {
    if (useCase) took(await update(2, { useCase, ...(otherText && { otherText }) }));
    if (useCase && subdomain) took(await update(3, { subdomain }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}

onSubmit(at("code-form"), async () => {
  const code = at("code").value.trim();
  if (missing(at("code-form"), ["code", code, "Type the eight digits of the letter."])) return;
  took(await call("wizard.verifyEmail", { sessionId: session, code }));
  at("code").value = "";
  return "use";
});

at("resend").addEventListener("click", async () => {
  if (at("resend").getAttribute("aria-disabled") === "true") return;
  at("resend").setAttribute("aria-disabled", "true");
  clear(at("code-form"));
  try {
    await call("wizard.resendCode", { sessionId: session });
    tell("success", `Another letter is on its way to ${state.email}. Only the code of the last one works; there are at most five an hour.`);
  } catch (error) {
    refuse(at("code-form"), error);
  } finally {
    at("resend").removeAttribute("aria-disabled");
  }
});

at("other-email").addEventListener("click", () => {
  otherEmail = true;
  showAccount();
  at("email").focus();
});

at("password").addEventListener("input", measure);

// ---- 2. Use.

function useChanged() {
  at("other-field").hidden = useCase() !== "other";
  if (at("sandbox")) at("sandbox").hidden = !["testing", "learning"].includes(useCase());
}
at("use-form").addEventListener("change", useChanged);

onSubmit(at("use-form"), async () => {
  const chosen = useCase(), otherText = chosen === "other" ? at("otherText").value.trim() : "";
  if (missing(at("use-form"), ["useCase", chosen, "Choose what comes nearest."])) return null;
  took(await update(2, { useCase: chosen, ...(otherText && { otherText }) }));
  return "address";
});

// ---- 3. Address.

const address = availability(at("subdomain"), addressChanged);

onSubmit(at("address-form"), async () => {
  const name = subdomain();
  if (!name) {
    address.say("bad", "Choose a name first.");
    at("subdomain").focus();
    return null;
  }
  try {
    took(await update(3, { subdomain: name }));
  } catch (error) {
    if (!(error instanceof Refusal) || !(error.field === "subdomain" || error.code.startsWith("subdomain"))) throw error;
    address.refused(error.message);
    return null;
  }
  return "terms";
});

// ---- 4. Terms.

onSubmit(at("terms-form"), async () => {
  const [termsAccepted, privacyAccepted] = [at("termsAccepted").checked, at("privacyAccepted").checked];
  if (missing(at("terms-form"), ["termsAccepted", termsAccepted, "Without this there can be no instance."],
    ["privacyAccepted", privacyAccepted, "Without this there can be no instance."])) return;
  const seen = state.data.subdomain;
  try {
    took(await update(4, { termsAccepted, privacyAccepted }));
  } catch (error) {
    // In another tab it was sent already.
    if (error.code !== "wizard_finished") throw error;
  }
  await deploy(seen);
});

// ---- 5. The wish for the instance.

const NO_ROOM = ["at_capacity", "isolation_unproved"];
/**
 * Asks until there is an answer: the platform takes the same session's wish once, however often it comes.
 * Nobody gets another address than the one that they saw when they accepted the terms.
 */
async function deploy(seen) {
  if (seen !== state.data.subdomain) {
    kept.write({ session });
    show("terms", { replace: true, focus: false });
    tell("warning", "The address was changed in another tab. Look at it once more; nothing was created yet.");
    return at("told").focus();
  }
  kept.write({ session, deploying: seen });
  show("deployment", { replace: true });
  at("asking-again").hidden = true;
  for (let unheard = 0; ; ) {
    try {
      at("asking").textContent = "We make your account and ask for your instance …";
      const { tenantId } = await call("wizard.deployTenant", { sessionId: session });
      // The session would sign in whoever comes to this browser after this person.
      kept.write({ tenant: tenantId });
      return location.replace(`/signup/${tenantId}`);
    } catch (error) {
      const offline = error instanceof Offline;
      if (!offline && !(error instanceof Refusal)) throw error;
      // What failed may have been done all the same: asking once more tells.
      if (offline || (error.status >= 500 && !NO_ROOM.includes(error.code) && (unheard += 1) < 5)) {
        if (offline) at("asking").textContent = "The platform can't be reached. It is tried again by itself; nothing is lost.";
        await sleep(2000);
        continue;
      }
      kept.write({ session });
      return notDeployed(error);
    }
  }
}

async function notDeployed(error) {
  const back = (step, ...words) => {
    show(step, { replace: true, focus: false });
    tell("error", ...words);
    at("told").focus();
  };
  switch (error.code) {
    case "unknown_session":
      return ended();
    case "sign_in_required":
      known = true;
      return back("account", "This address has an account already, with another password. ",
        link(`/login?next=${encodeURIComponent(`/instances/new?subdomain=${state.data.subdomain ?? ""}`)}`, "Sign in"), " and make your instance from there; or type that account's password here, or another address.");
    case "email_unverified":
      return back("account", "Type the code of the letter first.");
    case "subdomain_taken":
    case "subdomain_cooldown":
      show("address", { replace: true });
      return address.refused(WHY[error.code] ?? error.message);
    case "wizard_incomplete":
      try {
        took(await call("wizard.getSession", { sessionId: session }));
        return show(STEPS[furthest()], { replace: true });
      } catch (failure) {
        return askAgain(failure.message);
      }
    case "too_many_tenants":
    case "too_many_deploys":
    case "verification_required":
      return back("account", `${error.message} `, link("/login?next=%2Fdashboard", "Sign in"), " to see what you have.");
    default:
      askAgain(error.message);
  }
}
function askAgain(words) {
  at("asking").textContent = words;
  at("asking-again").hidden = false;
}
at("ask-again").addEventListener("click", () => at("terms-form").requestSubmit());

// ---- Ways around.

for (const button of document.querySelectorAll("[data-back]")) {
  button.addEventListener("click", () => { tell("error"); show(button.dataset.back); });
}
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#invite=")) return location.reload();
  const step = location.hash.slice(1);
  if (STEPS.includes(step) && step !== current && current !== "deployment") {
    tell("error");
    go(step, { replace: true });
  }
});
at("start-over").addEventListener("click", () => {
  forgetSignUp();
  location.replace("/signup");
});
// Another tab of the same sign-up: this one follows.
addEventListener("storage", (event) => {
  if (event.key !== KEY && event.key !== null) return;
  const { tenant, session: other } = kept.read();
  if (tenant) location.replace(`/signup/${tenant}`);
  else if (other && other !== session) location.reload();
});

async function begin() {
  const { invite } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  if (invite) {
    invited.write(invite);
    history.replaceState(null, "", location.pathname);
  }
  if (at("invite")) at("invite").value ||= invited.read();
  const { session: known, deploying } = kept.read();
  session = known ?? null;
  at("loading").hidden = !session;
  while (session) {
    try {
      took(await call("wizard.getSession", { sessionId: session }));
      break;
    } catch (error) {
      if (error.code === "unknown_session") return ended(GONE);
      if (!(error instanceof Refusal || error instanceof Offline)) throw error;
      at("loading").querySelector("p").textContent = error.message;
      at("over").hidden = false;
      await sleep(2000);
    }
  }
  if (!session) kept.forget();
  if (deploying && state?.stepCompleted === STEPS.length) return deploy(deploying);
  const wished = location.hash.slice(1);
  show(STEPS.includes(wished) ? wished : STEPS[furthest()], { focus: false, replace: true });
}
begin();
