/** The dials of the chosen column, the search that adds to them, and the variants that keep them. */

import { fill, h } from "../lib/dom.js";
import { chosenColumn, current, dial, dials, propose } from "../chat/session.js";
import { shownEdits } from "../chat/conversation.js";
import { dialView } from "./dial.js";
import { featureSearch } from "./feature-search.js";
import { suggestions } from "./suggestions.js";
import { variantsView } from "./variants-view.js";

export function dialsView() {
  const title = h("h2", {});
  const list = h("ul", { class: "dials" });
  let shown = "";
  dials.watch(() => {
    const column = chosenColumn();
    const edits = shownEdits(column);
    title.textContent = current.value.columns.length > 1 ? `Dials of column ${column.name}` : "Dials";
    const now = `${column.id}${edits.map(({ feature }) => feature)}`;
    if (now === shown) return; // a slider being moved is not to be replaced
    shown = now;
    fill(list, edits.length ? edits.map((_, place) => dialView(place, column)) : empty());
  });
  current.watch(() => dials.notify());
  return h(
    "div",
    { class: "steer" },
    title,
    list,
    h("section", {}, h("h3", {}, "Find a feature"), featureSearch((feature) => dial(feature))),
    suggestions(),
    variantsView((edits) => propose(chosenColumn(), edits)),
  );
}

function empty() {
  return h("li", { class: "empty" }, "Nothing is turned: this is the plain model. Find a feature below, or click a word of an answer.");
}
