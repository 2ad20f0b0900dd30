/** What stands above each column: its name, how it is steered, and what can be done with it. */

import { fill, h, iconButton } from "../lib/dom.js";
import { CLOSE } from "../lib/icons.js";
import { signed } from "../lib/format.js";
import { shownEdits } from "./conversation.js";
import { chosen, chosenColumn, current, dials, removeColumn } from "./session.js";

/** The row of heads, shown when there are several columns; `left` ends its watching. */
export function columnHeads() {
  const element = h("div", { class: "heads" });
  const show = () => {
    const { columns } = current.value;
    fill(element, columns.length > 1 ? columns.map(head) : null);
  };
  const unwatch = [current, dials, chosen].map((signal) => signal.watch(show));
  return { element, left: () => unwatch.forEach((end) => end()) };
}

function head(column, index) {
  const isChosen = column === chosenColumn();
  const choose = () => {
    chosen.value = index;
    dials.notify();
  };
  return h(
    "div",
    { class: isChosen ? "head chosen" : "head" },
    h(
      "button",
      { type: "button", class: "choose", "aria-pressed": `${isChosen}`, title: "Show this column's dials", onclick: choose },
      h("b", {}, column.name),
      h("span", {}, summary(column)),
    ),
    iconButton(`Remove column ${column.name}`, CLOSE, () => removeColumn(column)),
  );
}

function summary(column) {
  const edits = shownEdits(column);
  if (!edits.length) return "plain";
  const [first, ...rest] = edits;
  const more = rest.length ? ` and ${rest.length} more` : "";
  return `${first.label} ${signed(first.strength)}${more}${column.pending ? " · not applied" : ""}`;
}
