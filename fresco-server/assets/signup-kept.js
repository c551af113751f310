// What signing up keeps in this browser: the secret of its session, for other tabs and for when the page
// is loaded again; or the instance that it led to. Whoever has the secret can be signed in by it, so it
// ends where somebody is.

export const KEY = "fresco.signup";
const INVITE = "fresco.invite";

/** Without a storage the wizard works as long as the page is open. */
function attempt(act) {
  try { return act(); } catch { return null; }
}

export const kept = {
  read: () => attempt(() => JSON.parse(localStorage.getItem(KEY))) ?? {},
  write: (value) => attempt(() => localStorage.setItem(KEY, JSON.stringify(value))),
  forget: () => attempt(() => localStorage.removeItem(KEY)),
};

/** The invite, in this tab alone, until there is a session. */
export const invited = {
  read: () => attempt(() => sessionStorage.getItem(INVITE)) ?? "",
  write: (invite) => attempt(() => sessionStorage.setItem(INVITE, invite)),
  forget: () => attempt(() => sessionStorage.removeItem(INVITE)),
};

/** Nothing of it stays. */
export function forgetSignUp() {
  kept.forget();
  invited.forget();
}
