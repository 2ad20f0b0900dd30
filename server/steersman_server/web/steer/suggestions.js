/** What could be turned next: the features that were strongest in the last answer. */

import { fill, h } from "../lib/dom.js";
import { chosenColumn, current, dial, isBusy, strongest } from "../chat/session.js";

const SHOWN = 6;

export function suggestions() {
  const body = h("div", {});
  const section = h("section", { hidden: true }, h("h3", {}, "Strong in the last answer"), body);
  current.watch(({ turns }) => {
    const answer = turns.at(-1)?.answers[chosenColumn().id];
    if (isBusy()) return;
    const features = answer ? strongest(answer).slice(0, SHOWN) : [];
    section.hidden = !features.length;
    fill(body, h("ul", { class: "chips" }, features.map(chip)));
  });
  return section;
}

function chip(feature) {
  return h(
    "li",
    { class: "chip" },
    h("button", { type: "button", "aria-label": `Less ${feature.label}`, title: "Less", onclick: () => dial(feature, -0.4) }, "−"),
    h("a", { href: `#/feature/${feature.index}` }, feature.label),
    h("button", { type: "button", "aria-label": `More ${feature.label}`, title: "More", onclick: () => dial(feature, 0.4) }, "+"),
  );
}
