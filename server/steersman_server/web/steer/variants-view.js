/** Named sets of edits, kept by the server: any client uses one as `model: "base:name"`. */

import { get, send } from "../lib/api.js";
import { fill, h, iconButton } from "../lib/dom.js";
import { TRASH } from "../lib/icons.js";
import { chosenColumn, dials, model, problem } from "../chat/session.js";
import { shownEdits, wireEdits } from "../chat/conversation.js";

/** The section; `use` gets the edits of a variant that is to be put on the dials. */
export function variantsView(use) {
  const list = h("ul", { class: "variants" });
  const name = h("input", {
    placeholder: "pirate", "aria-label": "Name of the variant", required: true,
    pattern: "[a-z0-9][a-z0-9_.\\-]*", title: "Small letters, digits, - _ and .", maxlength: 64,
  });
  const save = h("button", { type: "submit" }, "Save dials");
  let known = new Set();
  const refresh = async () => {
    const { data } = await get("/variants");
    known = new Set(data.map((variant) => variant.name));
    fill(list, data.map((variant) => row(variant, use, refresh)));
  };
  const onsubmit = async (event) => {
    event.preventDefault();
    await say(async () => {
      const feature_edits = wireEdits(shownEdits(chosenColumn()));
      const path = `/variants/${encodeURIComponent(name.value)}`;
      if (known.has(name.value)) await send("PUT", path, { feature_edits });
      else await send("POST", "/variants", { name: name.value, feature_edits });
      name.value = "";
      await refresh();
    });
  };
  dials.watch(() => (save.disabled = !shownEdits(chosenColumn()).length));
  model.watch((served) => served && say(refresh));
  return h(
    "section",
    { class: "variants-section" },
    h("h3", {}, "Variants"),
    list,
    h("form", { class: "row", onsubmit }, name, save),
  );
}

function row(variant, use, refresh) {
  const count = variant.feature_edits.length;
  const load = () =>
    say(async () => {
      const indices = variant.feature_edits.map(({ feature }) => feature);
      const features = new Map((await Promise.all(indices.map((index) => get(`/features/${index}`)))).map((feature) => [feature.index, feature]));
      use(
        variant.feature_edits.map((edit) => {
          const { label, h_max } = features.get(edit.feature);
          return { feature: edit.feature, label, h_max, strength: edit.strength, mode: edit.mode ?? "set" };
        }),
      );
    });
  const drop = () => say(async () => (await send("DELETE", `/variants/${encodeURIComponent(variant.name)}`), await refresh()));
  return h(
    "li",
    {},
    h("button", { type: "button", class: "quiet", onclick: load }, variant.name),
    h("span", { class: "fine" }, `${count} ${count === 1 ? "feature" : "features"}`),
    iconButton(`Delete ${variant.name}`, TRASH, drop),
  );
}

async function say(work) {
  try {
    await work();
  } catch (error) {
    problem.value = error.message;
  }
}

