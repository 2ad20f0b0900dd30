/** Where questions are written. */

import { h, iconButton } from "../lib/dom.js";
import { SEND, STOP } from "../lib/icons.js";
import { ask, model } from "./session.js";
import { busy, stop } from "./streaming.js";

let draft = ""; // outlives the view

/** The form at the foot of the chat; `left` ends its watching. */
export function composer() {
  const area = h("textarea", { rows: 1, placeholder: "Ask something", "aria-label": "Your message", enterkeyhint: "send", value: draft });
  const submit = iconButton("Send", SEND, null, { type: "submit", class: "icon-button send" });
  const halt = iconButton("Stop", STOP, stop, { class: "icon-button send" });
  const form = h("form", { class: "composer" }, area, submit, halt);
  const fit = () => {
    draft = area.value;
    area.style.height = "auto";
    if (area.scrollHeight) area.style.height = `${Math.min(area.scrollHeight, 200)}px`;
    submit.disabled = !area.value.trim() || !model.value;
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (submit.disabled || busy.value) return;
    ask(area.value.trim());
    area.value = "";
    fit();
  });
  area.addEventListener("input", fit);
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  const unwatch = [
    busy.watch((isBusy) => {
      submit.hidden = isBusy;
      halt.hidden = !isBusy;
    }),
    model.watch(fit),
  ];
  return { element: h("div", { class: "foot" }, form), left: () => unwatch.forEach((end) => end()) };
}
