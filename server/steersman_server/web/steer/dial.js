/** One edit's dial: a slider whose two directions look different, and the number beside it. */

import { fill, h, iconButton } from "../lib/dom.js";
import { short, signed } from "../lib/format.js";
import { CLOSE } from "../lib/icons.js";
import { shownEdits } from "../chat/conversation.js";
import { dials, propose } from "../chat/session.js";
import { coherentStrength, known } from "../features/known.js";

/** The row of the edit at `place` in a column. */
export function dialView(place, column) {
  const edit = () => shownEdits(column)[place];
  const change = (to) => propose(column, shownEdits(column).map((each, at) => (at === place ? { ...each, ...to } : each)));
  const drop = () => propose(column, shownEdits(column).filter((_, at) => at !== place));
  const { feature, label } = edit();
  const range = h("input", { type: "range", ...bounds(edit(), 1), "aria-label": `Strength of ${label}`, oninput: (event) => change({ strength: Number(event.target.value) }) });
  const number = h("input", {
    type: "number", ...bounds(edit(), 2), class: "number", "aria-label": `Strength of ${label}, as a number`,
    onchange: (event) => event.target.reportValidity() && event.target.value !== "" && change({ strength: Number(event.target.value) }),
  });
  const means = h("p", { class: "means" });
  const row = h(
    "li",
    { class: "dial" },
    h("div", { class: "dial-head" }, h("a", { href: `#/feature/${feature}`, class: "label" }, label), iconButton(`Remove ${label}`, CLOSE, drop)),
    h("div", { class: "dial-body" }, h("span", { class: "end less", "aria-hidden": "true" }, "−"), h("span", { class: "track" }, range), h("span", { class: "end more", "aria-hidden": "true" }, "+"), number),
    means,
  );
  let safe = null;
  const show = () => {
    const now = edit();
    if (now?.feature !== feature) return;
    range.value = now.strength;
    if (document.activeElement !== number) number.value = now.strength;
    range.setAttribute("aria-valuetext", meaning(now));
    row.style.setProperty("--at", share(now));
    row.style.setProperty("--safe", safe);
    row.classList.toggle("limited", safe !== null && safe < 1 && now.mode !== "scale" && now.unit !== "raw");
    row.classList.toggle("down", share(now) < 0);
    row.classList.toggle("up", share(now) > 0);
    row.classList.toggle("unapplied", isUnapplied(now, column));
    fill(means, meaning(now), isTooMuch(now, safe) && h("b", {}, ` Above ${signed(safe)}, text suffered in tests.`));
  };
  known(feature).then((board) => ((safe = coherentStrength(board)), show()), () => {}); // the dial works without
  const unwatch = dials.watch(show);
  queueMicrotask(() => watchUntilGone(row, unwatch));
  return row;
}

/** `set` and `add` go from −reach to reach in units of h_max, `scale` from 0 to 2. */
function bounds({ mode, unit, h_max }, reach) {
  if (mode === "scale") return { min: 0, max: 2, step: 0.05 };
  const scale = unit === "raw" ? Math.max(1, Math.ceil(h_max)) : 1;
  return { min: -reach * scale, max: reach * scale, step: unit === "raw" ? "any" : 0.05 };
}

/** Where the slider stands, −1 to 1. */
function share({ mode, unit, strength, h_max }) {
  const of = mode === "scale" ? strength - 1 : strength / (unit === "raw" ? Math.max(1, Math.ceil(h_max)) : 1);
  return Math.max(-1, Math.min(1, of));
}

function isTooMuch({ mode, unit, strength }, safe) {
  return safe !== null && unit !== "raw" && mode !== "scale" && strength > safe;
}

function meaning(edit) {
  const { mode = "set", unit, strength, h_max, phase, roles, when } = edit;
  const length = unit === "raw" ? strength : strength * h_max;
  const part = h_max ? `${signed((100 * length) / h_max).replace(/\.00$/, "").replace("+", "")} %` : short(length);
  const limits = [phase === "prompt" && "only in the prompt", phase === "generation" && "only in the answer", roles && `only in messages of ${roles}`, when && "only where its condition holds"];
  return `${[said(mode, strength, part, h_max), ...limits.filter(Boolean)].join(", ")}.`;
}

function said(mode, strength, part, h_max) {
  if (mode === "scale") return strength ? `Multiplied by ${short(strength)} wherever it fires` : "Silenced";
  if (mode === "add") return `Moved by ${part} of its strongest firing (${short(h_max)})`;
  if (!strength) return "Silenced: held at zero";
  return strength > 0 ? `Held at ${part} of its strongest firing (${short(h_max)})` : `Pushed below silence, ${part} of its strongest firing (${short(h_max)})`;
}

function isUnapplied(edit, column) {
  return !column.edits.some((was) => JSON.stringify(was) === JSON.stringify(edit));
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
