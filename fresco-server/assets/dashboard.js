// The list is drawn by the server; here it is asked whether it would draw another one now.
import { call } from "./api.js";
import { renew, say } from "./live.js";
import { poll } from "./poll.js";

const at = (id) => document.getElementById(id);
const list = () => at("instances");
const cards = () => [...list().querySelectorAll("[data-tenant]")];

function shown() {
  const parts = cards().map(({ dataset: { tenant, status, desired, operation } }) => [tenant, status, desired, operation]);
  return [list().dataset.total, ...parts].join();
}

/** Whoever types or chooses is answered at once. */
function ready() {
  if (at("show")) at("show").hidden = true;
}
ready();

/** What is to be heard of the list, by the ids of the instances. */
function standings() {
  const stands = cards().map((card) => [card.dataset.tenant, `${card.querySelector("h2").textContent.trim()}: ${card.querySelector(".badge").textContent}`]);
  return new Map([["", at("count")?.textContent ?? list().querySelector("h2")?.textContent], ...stands]);
}

/** Which list is shown: that of this query. */
let drawn = location.search, drawing;

/** Draws the list that is asked for now, and the next one if another is asked for meanwhile. */
function draw() {
  drawing ??= (async () => {
    const before = standings();
    let asked;
    do {
      asked = location.search;
      list().setAttribute("aria-busy", String(asked !== drawn));
      // Whoever was at a button that is gone is left at its instance.
      const focused = document.activeElement?.closest("[data-tenant]")?.dataset.tenant;
      // With the first instance come the tools. Later nobody takes away the field that is typed into.
      if (!await renew([...(at("filters") ? [] : ["tools"]), "views", "instances"])) return;
      ready();
      list().removeAttribute("aria-busy");
      if (focused && document.activeElement === document.body) at(`name-${focused}`)?.focus();
      drawn = asked;
    } while (asked !== location.search);
    const now = [...standings()];
    say(now.filter(([id, words]) => words !== before.get(id) && (!id || before.has(id))).map(([, words]) => words).join(". "));
  })().finally(() => { drawing = undefined; });
  return drawing;
}

let before;
poll(async () => {
  // It was asked for when it could not be had.
  if (drawn !== location.search) return draw();
  const asked = drawn, { page, status, search } = list().dataset;
  const told = await call("tenants.list", { page: Number(page), limit: 12, search, ...(status && { status }) });
  const parts = told.tenants.map((tenant) => [tenant.id, tenant.status, tenant.desiredState, tenant.operation?.id ?? ""]);
  const now = JSON.stringify(told), there = [told.total, ...parts].join();
  // In between somebody may have asked for another list.
  if (asked !== drawn || asked !== location.search) return;
  if (there !== shown() || (before && before !== now)) await draw();
  before = now;
}, 3000);

let timer;
const narrow = () => {
  clearTimeout(timer);
  const query = new URLSearchParams([...new FormData(at("filters"))].filter(([, value]) => value.trim()));
  history.replaceState(null, "", String(query) ? `/dashboard?${query}` : "/dashboard");
  before = undefined;
  // What can't be had now is asked for again by the next round.
  draw().catch(() => {});
};
document.addEventListener("input", (event) => {
  if (event.target.form?.id !== "filters") return;
  clearTimeout(timer);
  timer = setTimeout(narrow, event.target.type === "search" ? 250 : 0);
});
document.addEventListener("submit", (event) => {
  if (event.target.id !== "filters") return;
  event.preventDefault();
  narrow();
});
