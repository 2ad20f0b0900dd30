/** All features: searched, filtered, sorted. */

import { get } from "../lib/api.js";
import { fill, h, iconButton } from "../lib/dom.js";
import { percent, short } from "../lib/format.js";
import { PLUS } from "../lib/icons.js";
import { say } from "../lib/say.js";
import { dial } from "../chat/session.js";
import { filterForm, wantedOf } from "./filters.js";

const PAGE = 40;
const COLUMNS = ["Feature", "Label", "About", "Label score", "Fires on", "h_max", "Turn"];
let last = null; // what was shown: to come back to it as it was left

/** The view of what the address asks for. */
export function browserView(_, parameters) {
  if (last?.address !== location.hash) last = { address: location.hash, element: browser(wantedOf(parameters)), scroll: 0 };
  const { element, scroll } = last;
  const { name, form } = document.activeElement;
  if (form?.matches(".filters")) requestAnimationFrame(() => element.querySelector(`.filters [name="${name}"]`)?.focus());
  return { element, scroll, left: () => (last.scroll = document.getElementById("main").scrollTop) };
}

function browser(wanted) {
  const rows = h("tbody", {});
  const more = h("button", { type: "button", class: "more", hidden: true }, "More");
  const status = h("p", { class: "fine", role: "status" }, "Loading …");
  let after = null;
  const load = async () => {
    more.disabled = true;
    try {
      const page = await get("/features", { ...wanted, limit: PAGE, after });
      rows.append(...page.data.map(row));
      after = page.last_id;
      more.hidden = !page.has_more;
      const count = rows.children.length;
      fill(status, count ? `${page.has_more ? "The first " : ""}${count} features` : "No feature is like that: loosen the filters.");
      say(status.textContent);
    } catch (error) {
      const again = h("button", { type: "button", onclick: load }, "Try again");
      fill(status, h("span", { class: "wrong" }, error.message), " ", again);
      last = null; // not worth coming back to
    }
    more.disabled = false;
  };
  more.addEventListener("click", load);
  load();
  return h(
    "section",
    { class: "browser" },
    h("h1", {}, "Features"),
    filterForm(wanted),
    status,
    h("table", {}, h("thead", {}, h("tr", {}, COLUMNS.map((title) => h("th", { scope: "col" }, title)))), rows),
    more,
  );
}

function row(feature) {
  const { index, label, kind, rating, trusted, density, h_max, hidden, refused } = feature;
  return h(
    "tr",
    { class: hidden ? "hidden-feature" : null },
    h("td", { class: "number" }, index),
    h("td", {}, h("a", { href: `#/feature/${index}`, class: "label" }, label)),
    h("td", { class: "fine" }, kind ?? ""),
    h("td", { class: "number" }, rating === undefined ? "–" : h("span", { class: trusted ? "meter trusted" : "meter", vars: { "--share": rating }, title: trusted ? "Better than chance" : "No better than chance" }, rating.toFixed(2))),
    h("td", { class: "number" }, percent(density)),
    h("td", { class: "number" }, short(h_max)),
    h("td", {}, iconButton(`Turn ${label}`, PLUS, () => dial(feature), { disabled: refused })),
  );
}
