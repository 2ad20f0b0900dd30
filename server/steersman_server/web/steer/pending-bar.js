/** Changes of the dials that no answer was made under yet: shown, then applied or dropped. */

import { fill, h } from "../lib/dom.js";
import { closeDrawers } from "../lib/drawer.js";
import { say } from "../lib/say.js";
import { apply, chosenColumn, current, dials, revert } from "../chat/session.js";

export function pendingBar() {
  const bar = h("div", { class: "pending" });
  dials.watch(() => {
    const column = chosenColumn();
    bar.hidden = !column.pending;
    if (!column.pending) return fill(bar);
    const changes = countChanges(column);
    const hasAnswer = current.value.turns.length > 0;
    const applyNow = () => {
      apply(column);
      closeDrawers();
      say("Applied.");
    };
    return fill(
      bar,
      h("span", { role: "status" }, `${changes} ${changes === 1 ? "change" : "changes"} not applied`),
      h("button", { type: "button", onclick: () => revert(column) }, "Drop"),
      h("button", { type: "button", class: "primary apply", onclick: applyNow }, hasAnswer ? "Apply and answer again" : "Apply"),
    );
  });
  return bar;
}

function countChanges({ pending, edits }) {
  const before = new Map(edits.map((edit) => [edit.feature, edit]));
  const changed = pending.filter(({ feature, strength, mode, on }) => {
    const was = before.get(feature);
    return !was || was.strength !== strength || was.mode !== mode || was.on !== on;
  }).length;
  const kept = new Set(pending.map(({ feature }) => feature));
  return changed + edits.filter(({ feature }) => !kept.has(feature)).length;
}
