// The public API, as any client calls it.

/** What the API refuses a call with: `status`, `code`, `field` and, as the message, words for people. */
export class Refusal extends Error {
  constructor(problem) {
    // Programs speak of tenants, people of instances.
    super(problem.detail.replace(/\ba tenant/g, "an instance").replace(/\btenant(s|'s)?\b/g, "instance$1"));
    Object.assign(this, { status: problem.status, code: problem.code, field: problem.field });
  }
}

/** The platform could not be reached. */
export class Offline extends Error {}

/** Milliseconds that an answer may take: the platform itself gives up before. */
export const PATIENCE = 70_000;

/** Makes a call such as `tenants.list`. Throws a Refusal, or Offline; an AbortSignal's own error otherwise. */
export async function call(name, body = {}, { signal } = {}) {
  const late = AbortSignal.timeout(PATIENCE), asked = performance.now();
  let answer, told;
  try {
    answer = await fetch(`/api/${name}`, {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
      signal: signal ? AbortSignal.any?.([signal, late]) ?? signal : late,
    });
    told = await answer.json().catch((error) => {
      // An answer that was cut off is none; of a refusal the status is enough.
      if (answer.ok || signal?.aborted) throw error;
      return null;
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    tell("offline", asked);
    throw new Offline("The platform can't be reached. Look at your connection; this page goes on by itself.");
  }
  if (answer.ok) {
    tell("online", asked);
    return told;
  }
  const unreadable = { status: answer.status, code: "unreadable", detail: "The platform's answer can't be read. Try again." };
  const problem = typeof told?.detail === "string" ? told : unreadable;
  // Somebody else's page of the same browser signed out, or the session came to its end.
  if (problem.code === "not_signed_in") tell("expired");
  throw new Refusal(problem);
}

/** When that was asked last which found no platform, and which found one. */
let lost = -1, found = -1;

/**
 * Tells the frame `online`, `offline`, `stale` when answers fail to come, or `expired` when the session is over.
 * `asked` is when that was asked which tells: what is known of a later time counts for more.
 */
export function tell(state, asked = performance.now()) {
  if (state === "offline") {
    if (asked < found) return;
    lost = Math.max(lost, asked);
  } else if (state === "online") {
    if (asked < lost) return;
    found = Math.max(found, asked);
  }
  document.dispatchEvent(new CustomEvent("connection", { detail: state }));
}

/** Milliseconds after which a stream that was refused is opened again; each time twice as many, up to the most. */
const AGAIN = 1000, MOST = 30_000;

/**
 * An event stream of the API, as long as the page is seen: a browser has but a few connections for all its tabs.
 * What interrupts it is told to the frame; a refused one is opened again. It goes on after the last event.
 * `opened` is called each time it opens, and told whether it begins anew; `refused` when it does not; each handler
 * with its event's data, and with what closes the stream and tells after which event (`after`) another goes on.
 */
export function listen(url, handlers, { opened = () => {}, refused = () => {}, after = "" } = {}) {
  let stream, last = after, pause = AGAIN, timer;
  const leave = () => {
    clearTimeout(timer);
    stream?.close();
    stream = null;
  };
  const open = () => {
    let asked = performance.now();
    const mine = stream = new EventSource(last ? `${url}?after=${encodeURIComponent(last)}` : url);
    mine.addEventListener("open", () => {
      pause = AGAIN;
      tell("online", asked);
      opened(!last);
    });
    mine.addEventListener("error", async () => {
      // The browser asks anew in a while.
      asked = undefined;
      // The browser connects again by itself, unless it was refused. Why, it does not tell: a stream ends after an
      // hour, too. What comes of this call is told to the frame.
      const closed = mine.readyState === EventSource.CLOSED;
      if (closed && stream === mine) refused();
      const who = await call("auth.getSession").catch(() => null);
      if (stream !== mine) return;
      if (who && !who.user) tell("expired");
      else if (closed) {
        timer = setTimeout(open, pause);
        pause = Math.min(2 * pause, MOST);
      }
    });
    for (const [name, handler] of Object.entries(handlers)) {
      mine.addEventListener(name, (event) => {
        last = event.lastEventId || last;
        handler(JSON.parse(event.data), close);
      });
    }
  };
  const look = () => {
    if (document.hidden) leave();
    else if (!stream) open();
  };
  // Signed in again in another window: this one goes on when somebody comes back to it.
  const back = () => {
    if (stream?.readyState !== EventSource.CLOSED) return;
    leave();
    open();
  };
  const close = () => {
    leave();
    document.removeEventListener("visibilitychange", look);
    removeEventListener("focus", back);
    removeEventListener("pagehide", leave);
    return last;
  };
  look();
  document.addEventListener("visibilitychange", look);
  addEventListener("focus", back);
  addEventListener("pagehide", leave);
}
