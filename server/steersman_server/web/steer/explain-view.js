/** Why a token: the features behind it, asked in either of two ways. */

import { fill, h, iconButton } from "../lib/dom.js";
import { short, visible } from "../lib/format.js";
import { MINUS, PLUS } from "../lib/icons.js";
import { Signal } from "../lib/store.js";
import { picked, shading } from "../chat/picked.js";
import { dial } from "../chat/session.js";
import { explain, firings } from "./explain.js";

const QUESTIONS = {
  gradient_x_activation: ["What the model used", "Features that fired and pushed this word; silencing them takes it back."],
  gradient: ["What would push it", "Features that would make this word likelier if they were turned up, whether they fired or not."],
};
const method = new Signal("gradient_x_activation");

export function explainView() {
  const body = h("div", { class: "explain" });
  let asked = null;
  const show = async () => {
    asked?.abort();
    shading.value = null;
    const pick = picked.value;
    if (!pick) return fill(body, h("p", { class: "empty" }, "Click a word of an answer to see the features behind it."));
    asked = new AbortController();
    const { signal } = asked;
    const list = h("div", { class: "reasons" }, h("p", { class: "fine waiting" }, "Tracing …"));
    fill(body, head(pick), choice(), h("p", { class: "fine" }, QUESTIONS[method.value][1]), list);
    try {
      const { features, objective } = await explain(pick, method.value, signal);
      if (!features.length) return fill(list, h("p", { class: "empty" }, "No feature had a part in this word."));
      const largest = Math.max(...features.map(({ attribution }) => Math.abs(attribution)));
      fill(list, h("ul", {}, features.map((feature) => reason(feature, largest))), h("p", { class: "fine" }, `This word's logit lies ${short(objective)} above the mean of all.`));
      await shadeOnHover(list, pick, features, signal);
    } catch (error) {
      if (error.name !== "AbortError") fill(list, h("p", { class: "wrong", role: "alert" }, error.message));
    }
    return null;
  };
  picked.watch(show);
  method.watch(() => picked.value && show());
  return body;
}

function head({ answer, token }) {
  const step = (by) => {
    const at = token + by;
    if (at >= 0 && at < answer.tokens.length) picked.value = { ...picked.value, token: at };
  };
  return h(
    "div",
    { class: "picked-head" },
    h("button", { type: "button", class: "quiet", "aria-label": "The word before", onclick: () => step(-1) }, "‹"),
    h("h2", {}, h("span", { class: "picked-token" }, visible(answer.tokens[token].text))),
    h("button", { type: "button", class: "quiet", "aria-label": "The word after", onclick: () => step(1) }, "›"),
  );
}

function choice() {
  return h(
    "div",
    { class: "segments", role: "group", "aria-label": "Question" },
    Object.entries(QUESTIONS).map(([name, [title]]) =>
      h("button", { type: "button", "aria-pressed": `${method.value === name}`, onclick: () => (method.value = name) }, title),
    ),
  );
}

function reason(feature, largest) {
  const { label, attribution, activation, h_max } = feature;
  const asFeature = { index: feature.feature, label, h_max };
  return h(
    "li",
    { class: attribution < 0 ? "reason against" : "reason", "data-feature": feature.feature, vars: { "--share": Math.abs(attribution) / largest } },
    h("a", { href: `#/feature/${feature.feature}`, class: "label" }, label),
    h("span", { class: "amount", title: `attribution ${short(attribution)}, activation ${short(activation)} of ${short(h_max)}` }, short(attribution)),
    iconButton(`Turn ${label} down`, MINUS, () => dial(asFeature, -0.4)),
    iconButton(`Turn ${label} up`, PLUS, () => dial(asFeature, 0.4)),
    h("span", { class: "bar", "aria-hidden": "true" }),
  );
}

/** The tokens where a feature fires are shaded while the feature is pointed at. */
async function shadeOnHover(list, { answer, ...place }, features, signal) {
  const columns = await firings({ answer, ...place }, features.map(({ feature }) => feature), signal);
  const byFeature = new Map(features.map((feature) => [feature.feature, feature]));
  for (const row of list.querySelectorAll("[data-feature]")) {
    const feature = Number(row.dataset.feature);
    const on = () => (shading.value = { answer, activations: columns.get(feature) ?? [], h_max: byFeature.get(feature).h_max });
    const off = () => (shading.value = null);
    row.addEventListener("pointerenter", on);
    row.addEventListener("focusin", on);
    row.addEventListener("pointerleave", off);
    row.addEventListener("focusout", off);
  }
}
