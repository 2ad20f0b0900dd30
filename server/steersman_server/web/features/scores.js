/** How a label stood its tests, in words: the value, its interval, and what guessing would score. */

import { h } from "../lib/dom.js";
import { short } from "../lib/format.js";

const TESTS = {
  contrastive: "Finds its text among two",
  stringent: "Finds its text among four alike",
  detection: "Knows the texts it fires on",
  fuzzing: "Knows the words it fires on",
};
const JUDGES = { embedding: "by meaning", lexical: "by words" };
const BASELINES = {
  shuffled_labels: "with another feature's label",
  unigram: "without a label, by its most frequent token",
  random_sae: "a random direction's label",
};
const EFFECTS = {
  output_score: ["Its own words become likely when it is turned up", "0 to 1"],
  delta_confidence: ["How much surer of the likeliest words the model becomes", "nats"],
};

/** The section of a dashboard's scores; null where nothing was tested. */
export function scoresView({ labels, scores }) {
  const whole = ({ tier, stratum, split }) => !tier && stratum === undefined && split === "test";
  const own = (labels.find((label) => label.shown)?.scores ?? []).filter(whole);
  const nulls = scores.filter(({ baseline }) => baseline).filter(whole);
  const effects = scores.filter(({ test, baseline }) => EFFECTS[test] && !baseline);
  if (!own.length && !effects.length) return null;
  return h(
    "section",
    {},
    h("h2", {}, "How well the label holds"),
    own.length > 0 && h("p", { class: "fine" }, "Judged on texts the label was not made from. The band is the 95 % interval, the thin line what guessing scores."),
    h("ul", { class: "scores" }, own.map(score)),
    nulls.length > 0 && h("details", {}, h("summary", { class: "fine" }, "Beside it, what should do worse"), h("ul", { class: "scores null" }, nulls.map(score))),
    effects.length > 0 && h("ul", { class: "effects" }, effects.map(({ test, value }) => h("li", {}, h("span", {}, EFFECTS[test][0]), h("span", { class: "amount" }, `${value.toFixed(2)} (${EFFECTS[test][1]})`)))),
  );
}

function score({ test, judge, baseline, value, lo, hi, chance, n }) {
  const details = [baseline ? BASELINES[baseline] ?? baseline.replaceAll("_", " ") : null, judge && (JUDGES[judge] ?? `by ${judge}`)].filter(Boolean).join(", ");
  const interval = lo === undefined ? [] : [`${lo.toFixed(2)}–${hi.toFixed(2)}`];
  const notes = [...interval, chance !== undefined && `chance ${short(chance)}`, `${n} trials`].filter(Boolean);
  return h(
    "li",
    { vars: { "--value": value, "--low": lo ?? value, "--high": hi ?? value, "--chance": chance ?? 0 } },
    h("span", { class: "test" }, TESTS[test] ?? test.replaceAll("_", " "), details && h("span", { class: "fine" }, ` ${details}`)),
    h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "interval" }), chance !== undefined && h("span", { class: "chance" }), h("span", { class: "point" })),
    h("b", { class: "amount" }, value.toFixed(2)),
    h("span", { class: "fine" }, notes.join(" · ")),
  );
}
