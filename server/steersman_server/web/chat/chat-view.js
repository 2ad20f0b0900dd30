/** The chat: questions, and the answers of each column side by side. */

import { fill, h, iconButton } from "../lib/dom.js";
import { openDrawer } from "../lib/drawer.js";
import { DIALS, DOWNLOAD, GEAR } from "../lib/icons.js";
import { columnHeads } from "./column-head.js";
import { composer } from "./composer.js";
import { MAX_COLUMNS, shownEdits } from "./conversation.js";
import { exportDialog } from "./export-dialog.js";
import { addColumn, chosenColumn, current, isBusy } from "./session.js";
import { settingsDialog } from "./settings-dialog.js";
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
  const unwatch = current.watch((conversation) => {
    const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
    element.style.setProperty("--columns", conversation.columns.length);
    fill(bar, tools(conversation));
    fill(turns, conversation.turns.length ? conversation.turns.map((turn, index) => turnView(turn, index, conversation)) : welcome());
    if (atEnd || isBusy()) scroll.scrollTop = scroll.scrollHeight;
  });
  return { element, left: () => [unwatch, heads.left, foot.left].forEach((end) => end()) };
}

function tools(conversation) {
  const full = conversation.columns.length >= MAX_COLUMNS;
  const hasPlain = conversation.columns.some((column) => !column.edits.length);
  const addPlain = () => addColumn(freeName(conversation), []);
  const addCopy = () => addColumn(freeName(conversation), structuredClone(shownEdits(chosenColumn())));
  return [
    h("h1", {}, conversation.title),
    h("span", { class: "spread" }),
    !hasPlain && !full && h("button", { type: "button", class: "quiet", onclick: addPlain }, "Compare with plain"),
    h(
      "button",
      {
        type: "button", class: "quiet with-icon", disabled: full, onclick: addCopy,
        title: full ? `${MAX_COLUMNS} columns are as many as fit` : "Add a column with other edits",
      },
      "Side by side",
    ),
    iconButton("Settings", GEAR, settingsDialog),
    iconButton("Export", DOWNLOAD, exportDialog),
    iconButton("Dials", DIALS, () => openDrawer("panel"), { class: "icon-button only-narrow" }),
  ];
}

function freeName(conversation) {
  const taken = new Set(conversation.columns.map(({ name }) => name));
  return ["A", "B", "C", "D"].find((name) => !taken.has(name)) ?? "E";
}

