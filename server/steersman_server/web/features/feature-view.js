/** A feature's page: what it is called and how well that holds, where it fires, and what is near it. */

import { get } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { openDrawer } from "../lib/drawer.js";
import { percent, short, signed, visible } from "../lib/format.js";
import { dial } from "../chat/session.js";
import { histogram } from "./histogram.js";
import { coherentStrength, known } from "./known.js";
import { scoresView } from "./scores.js";
import { shadedText } from "./shaded-text.js";

const STRATA = ["weakest", "weak", "middling", "strong", "strongest"];
const ACTIONS = { mark: "It can be used.", hide: "It is listed only on request.", refuse: "It can be turned down, not up." };
const MAKERS = { statistical: "Label made by counting words", rule: "Label given by a rule", human: "Label written by a person" };
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
    const board = await known(index);
    if (element.isConnected) document.title = `${board.feature.label} · steersman`;
    fill(element, [head, facts, scoresView, examples, effects, neighbours].map((part) => part(board)));
  } catch (error) {
    const again = h("button", { type: "button", onclick: () => show(element, index) }, "Try again");
    fill(element, h("h1", {}, `Feature ${index}`), h("p", { class: "wrong", role: "alert" }, error.message), h("p", { class: "row" }, again, h("a", { href: "#/features" }, "All features")));
  }
  element.removeAttribute("aria-busy");
}

function head({ feature, labels, moderation }) {
  const turn = (strength) => () => {
    dial(feature, strength);
    openDrawer("panel");
    location.hash = "#/chat";
  };
  const shown = labels.find((label) => label.shown);
  const maker = MAKERS[shown?.explainer] ?? (shown ? `Label by ${shown.explainer}` : "No label");
  const standing = feature.rating === undefined ? "not tested" : feature.trusted ? "better than chance in tests" : "not shown to be better than chance: read the examples";
  return h(
    "header",
    { class: "feature-head" },
    h("p", { class: "fine" }, `Feature ${feature.index}`),
    h("h1", {}, feature.label),
    h("p", { class: "fine" }, `${maker}; ${standing}.`),
    moderation.map(({ subject, category, action }) => h("p", { class: "wrong" }, `Moderation: this ${subject} is about ${category.replaceAll("_", " ")}. ${ACTIONS[action] ?? action}`)),
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", class: "primary", disabled: feature.refused, onclick: turn(0.4) }, "Turn it up"),
      h("button", { type: "button", onclick: turn(-0.4) }, "Turn it down"),
    ),
  );
}

function facts({ feature, mean_activation, num_documents, histogram: bins, ...board }) {
  const safe = coherentStrength(board);
  const rows = [
    safe !== null && ["Safe strength", safe >= 2 ? "up to +2 and beyond" : `up to ${signed(safe)}`, "How far it can be turned up before ordinary text costs the model one nat a token more."],
    ["Fires on", `${percent(feature.density)} of tokens`],
    ["Strongest firing (h_max)", short(feature.h_max)],
    ["Mean where it fires", short(mean_activation)],
    ["Chats it fires in", num_documents.toLocaleString("en")],
    feature.flags?.length && ["Note", feature.flags.join(", ").replaceAll("_", " ")],
  ];
  return h(
    "section",
    { class: "facts" },
    h("dl", {}, rows.filter(Boolean).map(([name, value, title]) => h("div", { title }, h("dt", {}, name), h("dd", {}, value)))),
    bins?.length && h("figure", {}, histogram(bins, feature.h_max), h("figcaption", { class: "scale" }, h("span", {}, "0"), h("span", {}, "activation, and how often (root scale)"), h("span", {}, short(feature.h_max)))),
  );
}

function examples({ examples: all, feature }) {
  if (!all.length) return h("section", {}, h("h2", {}, "Where it fires"), h("p", { class: "empty" }, "No text of the labelled data made it fire."));
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
        h("div", {}, all.filter((example) => example.stratum === stratum).map((example) => h("div", { class: "example" }, h("span", { class: "role" }, example.role), shadedText(example, feature.h_max)))),
      ),
    ),
  );
}

function effects({ promoted, suppressed }) {
  if (!promoted.length) return null;
  const list = (title, entries) => h("div", {}, h("h3", {}, title), h("ul", { class: "chips" }, entries.map(({ token, logit }) => h("li", { class: "chip plain" }, h("span", {}, visible(token)), h("span", { class: "amount" }, signed(logit))))));
  return h("section", {}, h("h2", {}, "Words its direction writes"), h("p", { class: "fine" }, "Change of the next word's logit for one unit of activation, read straight off its direction."), h("div", { class: "two" }, list("More likely", promoted), list("Less likely", suppressed)));
}

function neighbours({ feature, echoes }) {
  const body = h("div", { class: "two" });
  if (echoes.length) body.append(near("Echoes: say the same", get(`/features/${feature.index}/echoes`)));
  for (const [space, title] of SPACES) body.append(near(title, get(`/features/${feature.index}/neighbors`, { space, limit: 8 })));
  return h("section", {}, h("h2", {}, "Near it"), body);
}

function near(title, asked) {
  const list = h("ul", {});
  const part = h("div", {}, h("h3", {}, title), list);
  asked
    .then(({ data }) => fill(list, data.length ? data.map(neighbour) : h("li", { class: "empty" }, "None known.")))
    .catch(() => part.remove()); // the catalogue keeps none in this space
  return part;
}

function neighbour({ index, label, score }) {
  return h("li", { class: "feature-row" }, h("a", { href: `#/feature/${index}`, class: "label" }, label), score !== undefined && h("span", { class: "amount" }, short(score)));
}
