/** One feature's dial: a slider from −1 to 1 in units of h_max, and the number beside it. */

import { fill, h, iconButton } from "../lib/dom.js";
import { signed } from "../lib/format.js";
import { CLOSE } from "../lib/icons.js";
import { shownEdits } from "../chat/conversation.js";
import { dials, propose } from "../chat/session.js";

/** The row of one feature in a column's dials. */
export function dialView(feature, column) {
  const edit = () => shownEdits(column).find((each) => each.feature === feature);
  const change = (to) => propose(column, shownEdits(column).map((each) => (each.feature === feature ? { ...each, ...to } : each)));
  const drop = () => propose(column, shownEdits(column).filter((each) => each.feature !== feature));
  const { label } = edit();
  const range = h("input", {
    type: "range", min: -1, max: 1, step: 0.05, "aria-label": `Strength of ${label}`,
    oninput: (event) => change({ strength: Number(event.target.value) }),
  });
  const number = h("input", {
    type: "number", min: -2, max: 2, step: 0.05, class: "number", "aria-label": `Strength of ${label}, as a number`,
    onchange: (event) => event.target.reportValidity() && event.target.value !== "" && change({ strength: Number(event.target.value) }),
  });
  const means = h("span", { class: "means" });
  const row = h(
    "li",
    { class: "dial" },
    h("div", { class: "dial-head" }, h("a", { href: `#/feature/${feature}`, class: "label" }, label), iconButton(`Remove ${label}`, CLOSE, drop)),
    h("div", { class: "dial-body" }, h("span", { class: "end less", "aria-hidden": "true" }, "−"), range, h("span", { class: "end more", "aria-hidden": "true" }, "+"), number),
    means,
  );
  const unwatch = dials.watch(() => {
    const now = edit();
    if (!now) return;
    const { strength } = now;
    range.value = strength;
    if (document.activeElement !== number) number.value = strength;
    range.setAttribute("aria-valuetext", meaning(now));
    row.style.setProperty("--at", Math.max(-1, Math.min(1, strength)));
    row.classList.toggle("down", strength < 0);
    row.classList.toggle("up", strength > 0);
    row.classList.toggle("unapplied", isUnapplied(now, column));
    fill(means, meaning(now));
  });
  queueMicrotask(() => watchUntilGone(row, unwatch));
  return row;
}

function meaning({ strength, h_max }) {
  if (strength === 0) return "held at zero: the feature is silenced";
  const raw = h_max ? `, ${signed(strength * h_max)} in the residual stream` : "";
  return strength > 0 ? `held at ${signed(strength)} h_max${raw}` : `held below zero, ${signed(strength)} h_max: blocked${raw}`;
}

function isUnapplied(edit, column) {
  const was = column.edits.find(({ feature }) => feature === edit.feature);
  return !was || was.strength !== edit.strength;
}

function watchUntilGone(row, unwatch) {
  const list = row.parentElement;
  if (!list) return;
  const gone = new MutationObserver(() => {
    if (row.isConnected) return;
    unwatch();
    gone.disconnect();
  });
  gone.observe(list, { childList: true });
}
