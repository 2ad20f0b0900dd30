/** How answers are drawn. */

import { openDialog } from "../lib/dialog.js";
import { h } from "../lib/dom.js";
import { settings } from "./session.js";

const NUMBERS = [
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.1 }, "0 always takes the likeliest token."],
  ["top_p", "Top p", { min: 0.05, max: 1, step: 0.05 }, "Keeps the likeliest tokens that reach this probability together."],
  ["max_tokens", "Longest answer, in tokens", { min: 1, max: 4096, step: 1 }, null],
];

export function settingsDialog() {
  const change = (name, value) => (settings.value = { ...settings.value, [name]: value });
  const system = h("textarea", {
    id: "set-system", rows: 4, value: settings.value.system, placeholder: "The model's own",
    onchange: (event) => change("system", event.target.value.trim()),
  });
  const fixed = settings.value.seed !== null;
  const seed = h("input", {
    id: "set-seed", type: "number", step: 1, min: 0, value: settings.value.seed ?? 0, disabled: !fixed,
    onchange: (event) => change("seed", Math.trunc(Number(event.target.value))),
  });
  const isFixed = h("input", {
    type: "checkbox", checked: fixed,
    onchange: (event) => {
      seed.disabled = !event.target.checked;
      change("seed", event.target.checked ? Math.trunc(Number(seed.value)) : null);
    },
  });
  openDialog(
    "Settings",
    field("set-system", "System prompt", system),
    NUMBERS.map(([name, title, range, hint]) => {
      const onchange = (event) => event.target.reportValidity() && change(name, Number(event.target.value));
      return field(`set-${name}`, title, h("input", { id: `set-${name}`, type: "number", ...range, value: settings.value[name], onchange }), hint);
    }),
    field("set-seed", "Seed", h("div", { class: "row" }, h("label", { class: "check" }, isFixed, "Fixed"), seed), "A fixed seed makes answers comparable: what changes is the steering."),
    h("p", { class: "fine" }, "They hold from the next answer on."),
  );
}

function field(id, title, input, hint) {
  return h("div", { class: "field" }, h("label", { for: id }, title), input, hint && h("p", { class: "fine" }, hint));
}
