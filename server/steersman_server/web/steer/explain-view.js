/** Why a token: the features behind it, asked in either of two ways. Without a token: those of the whole answer. */

import { fill, h } from "../lib/dom.js";
import { percent, short, signed, visible } from "../lib/format.js";
import { Signal } from "../lib/store.js";
import { picked } from "../chat/picked.js";
import { chosen, chosenColumn, current, strongest } from "../chat/session.js";
import { busy } from "../chat/streaming.js";
import { explain } from "./explain.js";
import { featureRow, shadeOnHover } from "./feature-rows.js";

const QUESTIONS = {
  gradient_x_activation: ["What it used", "Features that were active and pushed for this word, or against it. Silencing one takes its push away."],
  gradient: ["What would push it", "Features that would make this word likelier if they were turned up, or down, whether they were active or not."],
};
const RAIL = 12;
const method = new Signal("gradient_x_activation");

export function explainView() {
  const body = h("div", { class: "explain" });
  let asked = new AbortController();
  const show = () => {
    asked.abort();
    asked = new AbortController();
    if (picked.value && !isOnScreen(picked.value)) picked.value = null; // which shows anew
    else if (picked.value) showToken(body, picked.value, asked.signal);
    else showAnswer(body, asked.signal);
  };
  for (const signal of [picked, method, chosen, busy]) signal.watch(show);
  current.watch(() => (!picked.value || !isOnScreen(picked.value)) && show());
  return body;
}

function isOnScreen({ answer, index, column }) {
  return current.value.turns[index]?.answers[column.id] === answer;
}

/** The strongest features of the last answer. */
function showAnswer(body, signal) {
  const { turns } = current.value;
  const place = { index: turns.length - 1, column: chosenColumn(), answer: turns.at(-1)?.answers[chosenColumn().id] };
  const features = place.answer ? strongest(place.answer).slice(0, RAIL) : [];
  if (busy.value || !features.length) {
    return fill(body, h("h2", {}, "Why these words?"), h("p", { class: "empty" }, busy.value ? "The features of the answer appear here once it is whole." : "Ask something, then click a word of the answer: the features behind it appear here."));
  }
  const list = h("ul", { class: "reasons" });
  const most = features[0].total;
  fill(list, features.map((feature) => featureRow(feature, { share: feature.total / most, amount: percent(feature.total / place.answer.tokens.length) })));
  shadeOnHover(list, place, features, signal);
  return fill(body, h("h2", {}, "Strongest in this answer"), h("p", { class: "fine" }, "Average activation, as a share of each feature's maximum. Point at one to see where it fires; click a word to see what is behind it."), list);
}

async function showToken(body, pick, signal) {
  const list = h("div", { class: "reasons" }, h("p", { class: "fine waiting" }, "Tracing …"));
  fill(body, head(pick), choice(), h("p", { class: "fine" }, QUESTIONS[method.value][1]), list);
  try {
    const { features, objective } = await explain(pick, method.value, signal);
    if (signal.aborted) return;
    if (!features.length) return fill(list, h("p", { class: "empty" }, "No feature had a part in this word."));
    const largest = Math.max(...features.map(({ attribution }) => Math.abs(attribution)));
    fill(list, h("ul", {}, features.map((feature) => reason(feature, largest))), h("p", { class: "fine" }, `This word's logit lies ${short(objective)} above the mean of all.`));
    shadeOnHover(list, pick, features.map(({ feature, h_max }) => ({ index: feature, h_max })), signal);
  } catch (error) {
    if (error.name !== "AbortError") fill(list, h("p", { class: "wrong", role: "alert" }, error.message), h("button", { type: "button", onclick: () => picked.notify() }, "Try again"));
  }
}

function head({ answer, token }) {
  const step = (by, label, sign) => {
    const at = token + by;
    const onclick = () => (picked.value = { ...picked.value, token: at });
    return h("button", { type: "button", class: "quiet", "aria-label": label, disabled: at < 0 || at >= answer.tokens.length, onclick }, sign);
  };
  return h(
    "div",
    { class: "picked-head" },
    step(-1, "The word before", "‹"),
    h("h2", {}, h("span", { class: "sr-only" }, "Why "), h("span", { class: "picked-token" }, visible(answer.tokens[token].text))),
    step(1, "The word after", "›"),
    h("span", { class: "spread" }),
    h("button", { type: "button", class: "quiet", onclick: () => (picked.value = null) }, "Whole answer"),
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

function reason({ feature, label, attribution, activation, h_max }, largest) {
  const note = activation > 0 ? `fired at ${short(activation)}, ${Math.round((100 * activation) / h_max)} % of its maximum` : "did not fire";
  return featureRow({ index: feature, label, h_max }, { share: Math.abs(attribution) / largest, amount: signed(attribution), against: attribution < 0, note });
}
