/** Features as rows: what they are called, how much they did, and buttons that turn them. */

import { h, iconButton } from "../lib/dom.js";
import { MINUS, PLUS } from "../lib/icons.js";
import { shading } from "../chat/picked.js";
import { dial } from "../chat/session.js";
import { firings } from "./explain.js";

/** A row of `feature`: `share` (0 to 1) is drawn as a bar, which points `against` or for; `note` says more. */
export function featureRow(feature, { share, amount, against = false, note = null }) {
  const { index, label } = feature;
  return h(
    "li",
    { class: against ? "reason against" : "reason", "data-feature": index, vars: { "--share": share } },
    h("a", { href: `#/feature/${index}`, class: "label" }, label),
    h("span", { class: "amount" }, amount),
    iconButton(`Turn ${label} down`, MINUS, () => dial(feature, -0.4)),
    iconButton(`Turn ${label} up`, PLUS, () => dial(feature, 0.4)),
    h("span", { class: "bar", "aria-hidden": "true" }),
    note && h("span", { class: "fine" }, note),
  );
}

/** The tokens where a feature fires are shaded while its row is pointed at, or holds the focus. */
export function shadeOnHover(list, place, features, signal) {
  let asked = null;
  const shade = async (feature) => {
    asked ??= firings(place, features.map(({ index }) => index), signal);
    const where = await asked.catch(() => (asked = null));
    if (where && pointed === feature) shading.value = { answer: place.answer, h_max: feature.h_max, ...where.get(feature.index) };
  };
  let pointed = null;
  const byIndex = new Map(features.map((feature) => [feature.index, feature]));
  const on = (event) => {
    const row = event.target.closest("[data-feature]");
    const feature = row ? byIndex.get(Number(row.dataset.feature)) : null;
    if (feature === pointed) return;
    pointed = feature;
    shading.value = null;
    if (feature) shade(feature);
  };
  const off = () => {
    pointed = null;
    shading.value = null;
  };
  list.addEventListener("pointerover", on);
  list.addEventListener("focusin", on);
  list.addEventListener("pointerleave", off);
  list.addEventListener("focusout", off);
  signal.addEventListener("abort", off);
}
