/** A feature's page: what it is called and how well that holds, where it fires, and what is near it. */

import { get } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { openDrawer } from "../lib/drawer.js";
import { percent, short, visible } from "../lib/format.js";
import { dial } from "../chat/session.js";
import { histogram } from "./histogram.js";
import { shadedText } from "./shaded-text.js";

const STRATA = ["weakest", "weak", "middling", "strong", "strongest"];
const SPACES = [
  ["decoder", "Points alike"],
  ["label", "Labelled alike"],
  ["coactivation", "Fires alike"],
];

/** The view of the feature that the path names. */
export function featureView([index]) {
  const element = h("section", { class: "feature-page", "aria-busy": "true" }, h("p", { class: "fine" }, "Loading …"));
  show(element, index);
  return { element };
}

async function show(element, index) {
  try {
    const feature = await get(`/features/${encodeURIComponent(index)}`);
    fill(element, head(feature), facts(feature), scores(feature), examples(feature), logits(feature), neighbours(feature));
  } catch (error) {
    fill(element, h("h1", {}, `Feature ${index}`), h("p", { class: "wrong", role: "alert" }, error.message), h("a", { href: "#/features" }, "All features"));
  }
  element.removeAttribute("aria-busy");
}

function head(feature) {
  const turn = (strength) => () => {
    dial(feature, strength);
    openDrawer("panel");
    location.hash = "#/chat";
  };
  return h(
    "header",
    { class: "feature-head" },
    h("p", { class: "fine" }, `Feature ${feature.index}`),
    h("h1", {}, feature.label),
    h("p", { class: "fine" }, `Labelled by ${feature.label_kind.replaceAll("_", " ")}${feature.rationale ? `. ${feature.rationale}` : ""}`),
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", class: "primary", onclick: turn(0.4) }, "Turn it up"),
      h("button", { type: "button", onclick: turn(-0.4) }, "Turn it down"),
    ),
  );
}

function facts(feature) {
  const rows = [
    ["Fires on", `${percent(feature.density)} of tokens`],
    ["Strongest seen (h_max)", short(feature.h_max)],
    feature.mean_activation !== undefined && ["Mean where it fires", short(feature.mean_activation)],
    feature.num_documents !== undefined && ["Chats it fires in", feature.num_documents.toLocaleString("en")],
    feature.safe_strength && ["Answers stay coherent from", `${short(feature.safe_strength[0])} to ${short(feature.safe_strength[1])} h_max`],
    feature.flags?.length && ["Marked", feature.flags.join(", ").replaceAll("_", " ")],
  ];
  return h(
    "section",
    { class: "facts" },
    h("dl", {}, rows.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    feature.histogram?.length && h("figure", {}, histogram(feature.histogram, feature.h_max), h("figcaption", { class: "scale" }, h("span", {}, "0"), h("span", {}, "activation"), h("span", {}, short(feature.h_max)))),
  );
}

function scores(feature) {
  if (!feature.scores?.length) return null;
  return h(
    "section",
    {},
    h("h2", {}, "How well the label holds"),
    h("ul", { class: "scores" }, feature.scores.map(score)),
  );
}

function score({ test, value, low, high, chance, n }) {
  return h(
    "li",
    { vars: { "--value": value, "--low": low, "--high": high, "--chance": chance ?? 0 } },
    h("span", { class: "label" }, test.replaceAll("_", " ")),
    h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "interval" }), chance !== null && h("span", { class: "chance" }), h("span", { class: "point" })),
    h("span", { class: "amount" }, short(value)),
    h("span", { class: "fine" }, `${short(low)} to ${short(high)}, n ${n}${chance === null ? "" : `, chance ${short(chance)}`}`),
  );
}

function examples({ examples: all, h_max }) {
  if (!all?.length) return h("section", {}, h("h2", {}, "Where it fires"), h("p", { class: "empty" }, "No text of the labelled data made it fire."));
  const strata = [...new Set(all.map(({ stratum }) => stratum))].sort((one, other) => other - one);
  return h(
    "section",
    {},
    h("h2", {}, "Where it fires"),
    h("p", { class: "fine" }, "From its strongest firings to its weakest: a label is only right if it fits all of them."),
    strata.map((stratum) =>
      h(
        "div",
        { class: "stratum" },
        h("h3", {}, STRATA[stratum] ?? `stratum ${stratum}`),
        h("div", {}, all.filter((example) => example.stratum === stratum).map((example) => h("div", { class: "example" }, h("span", { class: "role" }, example.role), shadedText(example, h_max)))),
      ),
    ),
  );
}

function logits({ logits: both }) {
  if (!both?.top?.length) return null;
  const list = (title, entries) => h("div", {}, h("h3", {}, title), h("ul", { class: "chips" }, entries.map(({ token }) => h("li", { class: "chip plain" }, visible(token)))));
  return h("section", {}, h("h2", {}, "Words its direction writes"), h("div", { class: "two" }, list("More likely", both.top), list("Less likely", both.bottom)));
}

function neighbours(feature) {
  const body = h("div", { class: "two" });
  for (const [space, title] of SPACES) {
    const list = h("ul", {});
    get(`/features/${feature.index}/neighbors`, { space, limit: 8 })
      .then(({ data }) => fill(list, data.length ? data.map(neighbour) : h("li", { class: "empty" }, "None known.")))
      .catch(() => list.parentElement.remove()); // the server keeps none in this space
    body.append(h("div", {}, h("h3", {}, title), list));
  }
  return h("section", { class: "neighbours" }, h("h2", {}, "Near it"), body);
}

function neighbour({ index, label, score }) {
  return h("li", { class: "feature-row" }, h("a", { href: `#/feature/${index}`, class: "label" }, label), score !== undefined && h("span", { class: "amount" }, short(score)));
}
