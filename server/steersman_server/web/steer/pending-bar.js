/** Changes of the dials that no answer was made under yet: shown, then applied or dropped. */

import { fill, h } from "../lib/dom.js";
import { closeDrawers } from "../lib/drawer.js";
import { say } from "../lib/say.js";
import { MAX_COLUMNS } from "../chat/conversation.js";
import { apply, applyBeside, chosenColumn, current, dials, revert } from "../chat/session.js";

export function pendingBar() {
  const bar = h("div", { class: "pending" });
  dials.watch(() => {
    const column = chosenColumn();
    bar.hidden = !column.pending;
    if (!column.pending) return fill(bar);
    const changes = countChanges(column);
    const { turns, columns } = current.value;
    const act = (work) => () => {
      work(column);
      closeDrawers();
      say("Applied.");
    };
    return fill(
      bar,
      h("span", { role: "status" }, `${changes} ${changes === 1 ? "change" : "changes"} not applied`),
      h("button", { type: "button", class: "quiet", onclick: () => revert(column) }, "Drop"),
      turns.length > 0 && columns.length < MAX_COLUMNS && h("button", { type: "button", onclick: act(applyBeside), title: "Keep this answer, and answer again in a column beside it" }, "Side by side"),
      h("button", { type: "button", class: "primary apply", onclick: act(apply) }, turns.length ? "Apply and answer again" : "Apply"),
    );
  });
  return bar;
}

function countChanges({ pending, edits }) {
  const before = new Map(edits.map((edit) => [edit.feature, edit]));
  const changed = pending.filter((edit) => JSON.stringify(before.get(edit.feature)) !== JSON.stringify(edit)).length;
  const kept = new Set(pending.map(({ feature }) => feature));
  return changed + edits.filter(({ feature }) => !kept.has(feature)).length;
}
