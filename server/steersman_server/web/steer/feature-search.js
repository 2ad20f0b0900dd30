/** Search features by meaning or words, and do something with one. */

import { get } from "../lib/api.js";
import { fill, h, iconButton } from "../lib/dom.js";
import { PLUS } from "../lib/icons.js";
import { say } from "../lib/say.js";

const LIMIT = 8;

/** A search field and its results; `chosen` gets the feature whose plus was pressed. */
export function featureSearch(chosen) {
  const results = h("ul", { class: "results" });
  let search = null;
  const find = async (query) => {
    search?.abort();
    if (!query) return fill(results);
    search = new AbortController();
    try {
      const { data } = await get("/features", { query, limit: LIMIT }, search.signal);
      say(`${data.length} features found.`);
      return fill(results, data.length ? data.map((feature) => row(feature, chosen)) : h("li", { class: "empty" }, `No feature is labelled like “${query}”.`));
    } catch (error) {
      return error.name === "AbortError" ? null : fill(results, h("li", { class: "wrong" }, error.message));
    }
  };
  let timer;
  const input = h("input", {
    type: "search", placeholder: "food, code, apology …", "aria-label": "Search features",
    oninput: (event) => {
      clearTimeout(timer);
      timer = setTimeout(() => find(event.target.value.trim()), 200);
    },
  });
  return h("search", { class: "feature-search" }, input, results);
}

function row(feature, chosen) {
  return h(
    "li",
    { class: "feature-row" },
    h("a", { href: `#/feature/${feature.index}`, class: "label" }, feature.label),
    iconButton(`Turn ${feature.label}`, PLUS, () => chosen(feature)),
  );
}
