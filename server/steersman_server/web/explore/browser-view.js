/** All features: searched, filtered, sorted; the address holds what is shown. */

import { get } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { percent, short } from "../lib/format.js";
import { say } from "../lib/say.js";

const PAGE = 40;
const SORTS = [
  ["", "by index or match"],
  ["-rating", "best label first"],
  ["-density", "most frequent first"],
  ["density", "rarest first"],
  ["-h_max", "strongest first"],
];
const FIELDS = ["query", "mode", "min_rating", "min_density", "max_density", "sort", "trusted"];

/** The view of what the address asks for. */
export function browserView(_, parameters) {
  const wanted = Object.fromEntries(FIELDS.map((name) => [name, parameters.get(name) ?? ""]));
  const rows = h("tbody", {});
  const more = h("button", { type: "button", class: "more", hidden: true }, "More");
  const status = h("p", { class: "fine", role: "status" });
  let after = null;
  const load = async () => {
    more.disabled = true;
    try {
      const page = await get("/features", { ...wanted, limit: PAGE, after });
      rows.append(...page.data.map(row));
      after = page.last_id;
      more.hidden = !page.has_more;
      status.textContent = rows.children.length ? `${rows.children.length}${page.has_more ? "+" : ""} features` : "No feature is like that.";
      say(status.textContent);
    } catch (error) {
      status.textContent = error.message;
    }
    more.disabled = false;
  };
  more.addEventListener("click", load);
  load();
  const element = h(
    "section",
    { class: "browser" },
    h("h1", {}, "Features"),
    filters(wanted),
    status,
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ["Feature", "Label", "Score", "Fires on", "h_max"].map((title) => h("th", { scope: "col" }, title)))),
      rows,
    ),
    more,
  );
  return { element };
}

function filters(wanted) {
  const go = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const query = new URLSearchParams();
    form.delete(form.get("query") ? "sort" : "mode"); // a search is ordered by its matches
    for (const name of FIELDS) if (form.get(name)) query.set(name, form.get(name));
    location.hash = query.size ? `#/features?${query}` : "#/features";
  };
  const number = (name, title, props) => h("label", {}, title, h("input", { type: "number", name, value: wanted[name], ...props }));
  const select = (name, title, options) =>
    h("label", {}, title, h("select", { name, onchange: (event) => event.target.form.requestSubmit() }, options.map(([value, text]) => h("option", { value, selected: wanted[name] === value }, text))));
  return h(
    "form",
    { class: "filters", onsubmit: go, role: "search" },
    h("label", { class: "wide" }, "Search", h("input", { type: "search", name: "query", value: wanted.query, placeholder: "by meaning or words" })),
    select("mode", "How", [["", "meaning and words"], ["semantic", "meaning"], ["keyword", "words"]]),
    select("sort", "Order", SORTS),
    number("min_rating", "Label score from", { min: 0, max: 1, step: 0.05 }),
    number("min_density", "Fires on at least", { min: 0, max: 1, step: "any" }),
    number("max_density", "at most", { min: 0, max: 1, step: "any" }),
    h("label", { class: "check" }, h("input", { type: "checkbox", name: "trusted", value: "true", checked: wanted.trusted === "true" }), "Above chance"),
    h("button", { type: "submit", class: "primary" }, "Show"),
  );
}

function row(feature) {
  return h(
    "tr",
    {},
    h("td", { class: "number" }, feature.index),
    h("td", {}, h("a", { href: `#/feature/${feature.index}`, class: "label" }, feature.label)),
    h("td", { class: "number" }, feature.rating === undefined ? "–" : short(feature.rating)),
    h("td", { class: "number" }, percent(feature.density)),
    h("td", { class: "number" }, short(feature.h_max)),
  );
}
