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
    const known = await get(`/features/${encodeURIComponent(index)}/dashboard`);
    fill(element, head(known), facts(known), scores(known), examples(known), effects(known), neighbours(known));
  } catch (error) {
    fill(element, h("h1", {}, `Feature ${index}`), h("p", { class: "wrong", role: "alert" }, error.message), h("a", { href: "#/features" }, "All features"));
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
  const said = [shown ? `Labelled by ${shown.explainer}` : "No label", feature.trusted ? "tested above chance" : "not tested above chance"];
  return h(
    "header",
    { class: "feature-head" },
    h("p", { class: "fine" }, `Feature ${feature.index}`),
    h("h1", {}, feature.label),
    h("p", { class: "fine" }, `${said.join(", ")}.`),
    moderation.map(({ category, action }) => h("p", { class: "wrong" }, `Marked as ${category}: ${action}.`)),
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", class: "primary", disabled: feature.refused, onclick: turn(0.4) }, "Turn it up"),
      h("button", { type: "button", onclick: turn(-0.4) }, "Turn it down"),
    ),
  );
}

function facts({ feature, mean_activation, num_documents, histogram: bins }) {
  const rows = [
    ["Fires on", `${percent(feature.density)} of tokens`],
    ["Strongest seen (h_max)", short(feature.h_max)],
    ["Mean where it fires", short(mean_activation)],
    ["Chats it fires in", num_documents.toLocaleString("en")],
    feature.flags?.length && ["Note", feature.flags.join(", ").replaceAll("_", " ")],
  ];
  return h(
    "section",
    { class: "facts" },
    h("dl", {}, rows.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    bins?.length && h("figure", {}, histogram(bins, feature.h_max), h("figcaption", { class: "scale" }, h("span", {}, "0"), h("span", {}, "activation"), h("span", {}, short(feature.h_max)))),
  );
}

function scores({ labels, scores: own }) {
  const ofLabel = labels.find((label) => label.shown)?.scores ?? [];
  const shown = [...ofLabel, ...own].filter(({ tier, stratum }) => !tier && stratum === undefined);
  if (!shown.length) return null;
  return h(
    "section",
    {},
    h("h2", {}, "How well the label holds"),
    h("p", { class: "fine" }, "On texts it was not made from. The thin line is what guessing would score."),
    h("ul", { class: "scores" }, shown.map(score)),
  );
}

function score({ test, judge, split, baseline, value, lo, hi, chance, n }) {
  const share = (number) => Math.min(1, Math.max(0, number));
  const isShare = value >= 0 && value <= 1;
  const details = [judge, split, baseline && `null: ${baseline}`].filter(Boolean).join(", ").replaceAll("_", " ");
  const interval = lo === undefined ? "" : `${short(lo)} to ${short(hi)}, `;
  return h(
    "li",
    { class: baseline ? "null" : null, vars: { "--value": share(value), "--low": share(lo ?? value), "--high": share(hi ?? value), "--chance": chance ?? 0 } },
    h("span", { class: "label" }, test.replaceAll("_", " "), details && h("span", { class: "fine" }, ` ${details}`)),
    h("span", { class: "track", "aria-hidden": "true", hidden: !isShare }, h("span", { class: "interval" }), chance !== undefined && h("span", { class: "chance" }), h("span", { class: "point" })),
    h("span", { class: "amount" }, short(value)),
    h("span", { class: "fine" }, `${interval}n ${n}${chance === undefined ? "" : `, chance ${short(chance)}`}`),
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
  const list = (title, entries) => h("div", {}, h("h3", {}, title), h("ul", { class: "chips" }, entries.map(({ token }) => h("li", { class: "chip plain" }, visible(token)))));
  return h("section", {}, h("h2", {}, "Words its direction writes"), h("div", { class: "two" }, list("More likely", promoted), list("Less likely", suppressed)));
}

function neighbours({ feature, echoes }) {
  const body = h("div", { class: "two" });
  if (echoes.length) body.append(near("Says the same", get(`/features/${feature.index}/echoes`)));
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
