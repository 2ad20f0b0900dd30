/** What could be turned next, so that nobody faces a blank page. */

import { get, send } from "../lib/api.js";
import { fill, h } from "../lib/dom.js";
import { chosen, chosenColumn, current, dial, model, strongest } from "../chat/session.js";
import { busy } from "../chat/streaming.js";

const SHOWN = 6;
const CONSIDERED = 60;
const found = new WeakMap(); // answer -> promise of features

/** The section: what sets the last answer apart, or, before there is one, features whose labels hold best. */
export function suggestions() {
  const about = h("p", { class: "fine" });
  const list = h("ul", { class: "chips" });
  const section = h("section", { class: "suggestions", hidden: true }, h("h3", {}, "Suggestions"), about, list);
  let wanted = null;
  const show = async () => {
    if (busy.value || !model.value) return;
    const answer = current.value.turns.at(-1)?.answers[chosenColumn().id];
    const asked = (wanted = answer ? distinctive(answer) : wellLabelled());
    const features = await asked.catch(() => []); // suggestions are no loss
    if (asked !== wanted) return;
    section.hidden = !features.length;
    about.textContent = answer ? "What sets the last answer apart. Turn it down or up:" : "Features whose names held best in tests. Turn one down or up:";
    fill(list, features.map(chip));
  };
  for (const signal of [current, chosen, busy, model]) signal.watch(show);
  return section;
}

/** The features that fired most over an answer, for how seldom they fire elsewhere. */
function distinctive(answer) {
  if (!found.has(answer)) {
    const fired = strongest(answer).slice(0, CONSIDERED);
    found.set(answer, rank(new Map(fired.map(({ index, total }) => [index, total]))));
  }
  return found.get(answer);
}

async function rank(totals) {
  if (!totals.size) return [];
  const { data } = await send("POST", "/features/lookup", { features: [...totals.keys()] });
  const weight = ({ index, density }) => totals.get(index) * Math.log(1 / density);
  const useful = ({ hidden, refused, flags = [], density }) => !hidden && !refused && !flags.includes("special_tokens") && density > 0;
  return data.filter(useful).sort((one, other) => weight(other) - weight(one)).slice(0, SHOWN);
}

let first = null;

function wellLabelled() {
  first ??= get("/features", { sort: "-rating", trusted: true, kind: "topic", limit: SHOWN }).then(({ data }) => data);
  return first;
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
