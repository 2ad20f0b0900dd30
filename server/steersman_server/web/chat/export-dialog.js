/** A conversation as JSON, and its last request as code. */

import { openDialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { say } from "../lib/say.js";
import { asCurl, asOpenAI, asSteersman } from "./code.js";
import { chosenColumn, current, requestFor } from "./session.js";

export function exportDialog() {
  const { turns } = current.value;
  const body = turns.length ? requestFor(turns.length - 1, chosenColumn()) : null;
  const samples = body ? [["curl", asCurl(body)], ["openai", asOpenAI(body)], ["steersman SDK", asSteersman(body)]] : [];
  openDialog(
    "Export",
    h("p", {}, body ? `The last request of column ${chosenColumn().name}:` : "Ask something first, and the request appears here as code."),
    samples.map(([title, code]) => h("section", { class: "code" }, h("h3", {}, title), copyButton(code), h("pre", { tabindex: "0" }, code))),
    h("button", { type: "button", class: "primary", onclick: download }, "Download the conversation as JSON"),
  );
}

function copyButton(code) {
  const copy = async (event) => {
    await navigator.clipboard.writeText(code);
    event.target.textContent = "Copied";
    say("Copied.");
  };
  return h("button", { type: "button", class: "quiet copy", onclick: copy }, "Copy");
}

function download() {
  const blob = new Blob([JSON.stringify(current.value, null, 2)], { type: "application/json" });
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: `${current.value.title.replace(/\W+/g, "-").toLowerCase() || "chat"}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
