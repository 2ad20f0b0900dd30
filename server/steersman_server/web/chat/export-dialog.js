/** A conversation as JSON, and its last request as code. */

import { key } from "../lib/api.js";
import { openDialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { say } from "../lib/say.js";
import { asCurl, asOpenAI, asSteersman } from "./code.js";
import { messagesBefore, textOf, wireEdits } from "./conversation.js";
import { chosenColumn, current, model, requestFor, settings } from "./session.js";

export function exportDialog() {
  const { turns } = current.value;
  if (!turns.length || !model.value) return openDialog("Export", h("p", {}, "Ask something first: the request then stands here as code, and the chat can be downloaded."));
  const body = requestFor(turns.length - 1, chosenColumn());
  const hasKey = Boolean(key.value);
  const samples = [["curl", asCurl(body, hasKey)], ["Python, openai", asOpenAI(body, hasKey)], ["Python, steersman", asSteersman(body)]];
  return openDialog(
    "Export",
    h("p", { class: "row" }, h("button", { type: "button", class: "primary", onclick: download }, "Download the chat as JSON")),
    h("p", {}, `The last request${current.value.columns.length > 1 ? ` of column ${chosenColumn().name}` : ""}, as code that gives the same answer`, settings.value.seed === null && settings.value.temperature > 0 ? ", chance apart" : "", hasKey ? ". It reads your key from STEERSMAN_API_KEY." : "."),
    samples.map(([title, code]) => h("section", { class: "code" }, h("h3", {}, title), copyButton(title, code), h("pre", { tabindex: "0", "aria-label": title }, code))),
  );
}

function copyButton(title, code) {
  const copy = async ({ currentTarget: button }) => {
    try {
      await navigator.clipboard.writeText(code);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it by hand"; // a page without https may not write to the clipboard
    }
    say(button.textContent);
  };
  return h("button", { type: "button", class: "quiet copy", "aria-label": `Copy for ${title}`, onclick: copy }, "Copy");
}

/** What was said and how, in the API's own shapes: each column's edits, messages and receipts. */
function exported() {
  const { title, columns, turns } = current.value;
  const { system, ...sampling } = settings.value;
  const wholeOf = (column) => {
    const answers = turns.map((turn) => turn.answers[column.id]);
    const last = answers.at(-1);
    const messages = messagesBefore(current.value, column, turns.length - 1, system);
    if (last) messages.push({ role: "assistant", content: textOf(last) });
    return { name: column.name, feature_edits: wireEdits(column.edits), messages, steering: answers.map((answer) => answer?.steering ?? null) };
  };
  return { title, model: model.value.id, bundle: model.value.bundle, ...sampling, columns: columns.map(wholeOf) };
}

function download() {
  const blob = new Blob([JSON.stringify(exported(), null, 2)], { type: "application/json" });
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: `${current.value.title.replace(/\W+/g, "-").toLowerCase() || "chat"}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
