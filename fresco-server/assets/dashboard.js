// The list is drawn by the server; here it is asked whether it would draw another one now.
import { call } from "./api.js";
import { renew } from "./live.js";
import { poll } from "./poll.js";

const list = () => document.getElementById("instances");
const filters = document.getElementById("filters");

function shown() {
  const cards = [...list().querySelectorAll("[data-tenant]")];
  return [list().dataset.total, ...cards.map(({ dataset: { tenant, status, desired } }) => [tenant, status, desired])].join();
}

/** Draws the list again. Whoever was at a button that is gone is left at its instance. */
async function draw(url) {
  const focused = document.activeElement?.closest("[data-tenant]")?.dataset.tenant;
  await renew(["instances", "views"], url);
  if (focused && document.activeElement === document.body) document.getElementById(`name-${focused}`)?.focus();
}

let before;
poll(async () => {
  const { page, status, search } = list().dataset;
  const body = { page: Number(page), limit: 12, search, ...(status && { status }) };
  const told = await call("tenants.list", body);
  const now = JSON.stringify(told);
  const there = [told.total, ...told.tenants.map((tenant) => [tenant.id, tenant.status, tenant.desiredState])].join();
  // In between somebody may have asked for another list.
  const same = list().dataset.page === page && list().dataset.status === status && list().dataset.search === search;
  if (same && (there !== shown() || (before && before !== now) || list().querySelector("[data-working]"))) {
    const at = location.href;
    await draw();
    // Somebody asked for another list while this one came.
    if (at !== location.href) await draw();
  }
  before = now;
}, 3000);

if (filters) {
  filters.querySelector("button").hidden = true;
  let timer, round = 0;
  const narrow = async () => {
    const query = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value.trim()));
    const url = String(query) ? `/dashboard?${query}` : "/dashboard";
    history.replaceState(null, "", url);
    before = undefined;
    const mine = ++round;
    await draw(url);
    // What was typed since then is drawn last.
    if (mine !== round) await draw();
  };
  filters.addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(narrow, event.target.type === "search" ? 250 : 0);
  });
  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    narrow();
  });
}
