/** What the browser of features can be asked for; the address holds it. */

import { h } from "../lib/dom.js";

const SORTS = [
  ["", "by index"],
  ["-rating", "best label first"],
  ["-density", "most frequent first"],
  ["density", "rarest first"],
  ["-h_max", "strongest first"],
];
const MODES = [
  ["", "meaning and words"],
  ["semantic", "meaning"],
  ["keyword", "words"],
];
const KINDS = ["topic", "context", "token", "syntax", "position", "output", "mixed", "unclear", "none"];
const DENSITIES = [
  ["", "any"],
  ["..0.0001", "under 0.01 %"],
  ["0.0001..0.001", "0.01 to 0.1 %"],
  ["0.001..0.01", "0.1 to 1 %"],
  ["0.01..0.1", "1 to 10 %"],
  ["0.1..", "over 10 %"],
];
const NOTES = [
  ["", "any"],
  ["flag=output", "writes its own words"],
  ["flag=special_tokens", "on special tokens"],
  ["flag=always_on", "always on"],
  ["flag=few_firings", "few firings"],
  ["flag=never_fired", "never fired"],
  ["without_flag=special_tokens", "not on special tokens"],
];
const FIELDS = ["query", "mode", "sort", "min_rating", "min_density", "max_density", "trusted", "kind", "flag", "without_flag", "hidden"];

/** The parameters of `/features` that an address asks for. */
export const wantedOf = (parameters) => Object.fromEntries(FIELDS.map((name) => [name, parameters.get(name) ?? ""]));

/** The form; what is chosen goes into the address, which shows it. */
export function filterForm(wanted) {
  const noted = ["flag", "without_flag"].filter((name) => wanted[name]).map((name) => `${name}=${wanted[name]}`)[0] ?? "";
  const fires = wanted.min_density || wanted.max_density ? `${wanted.min_density}..${wanted.max_density}` : "";
  const isSearch = Boolean(wanted.query);
  const isSet = FIELDS.some((name) => wanted[name] && name !== "query" && name !== "sort");
  return h(
    "form",
    { class: "filters", onsubmit: go, role: "search" },
    h(
      "div",
      { class: "query" },
      h("input", { type: "search", name: "query", value: wanted.query, "aria-label": "Search", placeholder: "Search by meaning or words" }),
      h("button", { type: "submit", class: "primary" }, "Search"),
    ),
    h(
      "details",
      { open: isSet || matchMedia("(width >= 820px)").matches },
      h("summary", { class: "fine" }, "Filters"),
      h(
        "div",
        { class: "fields" },
        isSearch ? select("mode", "Search by", MODES, wanted.mode) : select("sort", "Order", SORTS, wanted.sort),
        select("kind", "About", [["", "anything"], ...KINDS.map((kind) => [kind, kind])], wanted.kind),
        select("density", "Fires on", DENSITIES.some(([value]) => value === fires) ? DENSITIES : [...DENSITIES, [fires, fires.replace("..", " to ")]], fires),
        select("note", "Note", NOTES.some(([value]) => value === noted) ? NOTES : [...NOTES, [noted, noted]], noted),
        h("label", {}, "Label score from", h("input", { type: "number", name: "min_rating", value: wanted.min_rating, min: 0, max: 1, step: 0.05, placeholder: "0.00", onchange: submit })),
        check("trusted", "Better than chance", wanted.trusted),
        check("hidden", "Show hidden ones", wanted.hidden),
        h("a", { href: "#/features", class: "clear", hidden: !FIELDS.some((name) => wanted[name]) }, "Clear"),
      ),
    ),
  );
}

const submit = (event) => event.target.form.requestSubmit();

function select(name, title, options, chosen) {
  return h("label", {}, title, h("select", { name, onchange: submit }, options.map(([value, text]) => h("option", { value, selected: chosen === value }, text))));
}

function check(name, title, checked) {
  return h("label", { class: "check" }, h("input", { type: "checkbox", name, value: "true", checked: checked === "true", onchange: submit }), title);
}

function go(event) {
  event.preventDefault();
  const form = new FormData(event.currentTarget);
  const [least, most] = (form.get("density") || "..").split("..");
  const [flag, value] = (form.get("note") || "=").split("=");
  const asked = { ...Object.fromEntries(form), min_density: least, max_density: most, [flag]: value };
  if (asked.query) asked.sort = ""; // a search is ordered by its matches
  else asked.mode = "";
  const query = new URLSearchParams();
  for (const name of FIELDS) if (asked[name]) query.set(name, asked[name]);
  location.hash = query.size ? `#/features?${query}` : "#/features";
}
