/** The chat: questions, and the answers of each column side by side. */

import { fill, h, icon } from "../lib/dom.js";
import { COLUMNS, DOWNLOAD, GEAR, PLUS } from "../lib/icons.js";
import { columnHeads } from "./column-head.js";
import { composer } from "./composer.js";
import { MAX_COLUMNS, shownEdits } from "./conversation.js";
import { exportDialog } from "./export-dialog.js";
import { addColumn, chosenColumn, current, dials } from "./session.js";
import { settingsDialog } from "./settings-dialog.js";
import { growth } from "./streaming.js";
import { turnView } from "./turn-view.js";
import { welcome } from "./welcome.js";

/** The view, and what to do when it is left. */
export function chatView() {
  const turns = h("div", { class: "turns" });
  const heads = columnHeads();
  const foot = composer();
  const scroll = h("div", { class: "scroll" }, heads.element, turns);
  const bar = h("div", { class: "chat-bar" });
  const element = h("section", { class: "chat", "aria-label": "Chat" }, bar, scroll, foot.element);
  const toEnd = () => (scroll.scrollTop = scroll.scrollHeight);
  requestAnimationFrame(toEnd);
  const unwatch = [
    current.watch((conversation) => {
      const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
      element.style.setProperty("--columns", conversation.columns.length);
      const { turns: all } = conversation;
      fill(turns, all.length ? all.map((turn, index) => turnView(turn, index, conversation)) : welcome());
      if (atEnd || growing(all.at(-1))) toEnd();
    }),
    current.watch(() => fill(bar, tools())),
    dials.watch(() => fill(bar, tools())),
  ];
  return { element, left: () => [...unwatch, heads.left, foot.left].forEach((end) => end()) };
}

const growing = (turn) => turn && Object.values(turn.answers).some(growth);

function tools() {
  const { title, columns } = current.value;
  const full = columns.length >= MAX_COLUMNS;
  const steered = shownEdits(chosenColumn());
  const hasPlain = columns.some((column) => !column.edits.length);
  const text = (label, path, onclick, props) =>
    h("button", { type: "button", class: "quiet with-icon", onclick, ...props }, icon(path), h("span", {}, label));
  return [
    h("h1", {}, title),
    h("span", { class: "spread" }),
    !hasPlain && !full && text("Compare with plain", COLUMNS, () => addColumn([]), { class: "with-icon" }),
    text("Add a column", PLUS, () => addColumn(structuredClone(steered)), {
      disabled: full, "aria-label": "Add a column", title: full ? `${MAX_COLUMNS} columns are as many as fit` : "A column beside this one, to steer in another way",
    }),
    text("Settings", GEAR, settingsDialog, { "aria-label": "Settings", title: "Settings" }),
    text("Export", DOWNLOAD, exportDialog, { "aria-label": "Export", title: "Export" }),
  ];
}
