// How hard a password is to guess, roughly: what it is made of, and how much of it is new. The platform's
// own refusal is what counts.

const WORDS = ["Too short yet.", "Weak: easy to guess.", "Fair. A longer one is better.", "Good.", "Strong."];
const USUAL = ["password", "passwort", "qwert", "asdf", "letmein", "welcome", "iloveyou", "admin", "fresco", "abc", "123"];

/** A level from 0 to 4 and a word for it; `own` are texts that others know of this person. */
function strength(password, own = []) {
  const letters = [...password];
  if (letters.length < 10) return { level: letters.length ? 1 : 0, word: WORDS[0] };
  const small = password.toLowerCase();
  const known = own.flatMap((text) => text.toLowerCase().split(/[^\p{L}\p{N}]+/u)).filter((part) => part.length > 3);
  // What others would try first counts as a single letter.
  const rest = [...USUAL, ...known].reduce((text, part) => text.split(part).join("*"), small);
  // A letter that follows from the one before, as in aaaa, 1234 or dcba, is nothing new.
  const codes = [...rest].map((letter) => letter.codePointAt(0));
  const fresh = codes.filter((code, i) => i === 0 || Math.abs(code - codes[i - 1]) > 1).length;
  const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{N}/u, /[^\p{L}\p{N}]/u].filter((kind) => kind.test(password)).length;
  const different = new Set(rest).size;
  const bits = Math.min(fresh, different * 2.5) * (2.2 + 0.8 * kinds);
  const level = bits < 25 ? 1 : bits < 38 ? 2 : bits < 52 ? 3 : 4;
  return { level, word: WORDS[level] };
}

/** Shows it of the password that stands in the form. */
export function measure() {
  const at = (id) => document.getElementById(id), text = at("password").value;
  const { level, word } = strength(text, [at("email").value, at("name").value]);
  at("strength").dataset.level = text ? level : 0;
  at("strength-word").textContent = text ? word : "";
}
