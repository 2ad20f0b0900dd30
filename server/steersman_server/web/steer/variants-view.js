/** Named sets of edits, kept by the server: any client uses one as `model: "base:name"`. */

import { get, send } from "../lib/api.js";
import { fill, h, iconButton } from "../lib/dom.js";
import { TRASH } from "../lib/icons.js";
import { say } from "../lib/say.js";
import { chosenColumn, dials, model, problem } from "../chat/session.js";
import { shownEdits, wireEdits } from "../chat/conversation.js";

/** The section; `use` gets the edits of a variant that is to be put on the dials. */
export function variantsView(use) {
  const list = h("ul", { class: "variants" });
  const name = h("input", {
    placeholder: "Name, such as pirate", "aria-label": "Name of the variant", required: true,
    pattern: "[a-z0-9][a-z0-9_.\\-]*", title: "Small letters, digits, - _ and .", maxlength: 64,
  });
  const save = h("button", { type: "submit" }, "Save dials");
  const about = h("p", { class: "fine" });
  let kept = new Set();
  const tell = () => (save.textContent = kept.has(name.value) ? "Replace" : "Save dials");
  const refresh = async () => {
    const { data } = await get("/variants");
    kept = new Set(data.map((variant) => variant.name));
    fill(list, data.map((variant) => row(variant, use, refresh)));
    about.textContent = `Dials under a name. Any client uses one as a model: ${model.value.id}:${data[0]?.name ?? "pirate"}`;
    tell();
  };
  name.addEventListener("input", tell);
  const onsubmit = async (event) => {
    event.preventDefault();
    await attempt(async () => {
      const feature_edits = wireEdits(shownEdits(chosenColumn()));
      const path = `/variants/${encodeURIComponent(name.value)}`;
      if (kept.has(name.value)) await send("PUT", path, { feature_edits });
      else await send("POST", "/variants", { name: name.value, feature_edits });
      say(`Saved as ${name.value}.`);
      name.value = "";
      await refresh();
    });
  };
  dials.watch(() => (save.disabled = !shownEdits(chosenColumn()).length));
  model.watch((served) => served && refresh().catch((error) => (about.textContent = error.message)));
  return h(
    "section",
    { class: "variants-section" },
    h("h3", {}, "Variants"),
    about,
    list,
    h("form", { class: "row", onsubmit }, name, save),
  );
}

function row(variant, use, refresh) {
  const count = variant.feature_edits.length;
  const load = () =>
    attempt(async () => {
      const { data } = await send("POST", "/features/lookup", { features: variant.feature_edits.map(({ feature }) => feature) });
      use(variant.feature_edits.map((edit, at) => ({ mode: "set", ...edit, label: data[at].label, h_max: data[at].h_max })));
    });
  const drop = () => attempt(async () => (await send("DELETE", `/variants/${encodeURIComponent(variant.name)}`), await refresh()));
  return h(
    "li",
    {},
    h("button", { type: "button", class: "quiet", onclick: load }, variant.name),
    h("span", { class: "fine" }, `${count} ${count === 1 ? "feature" : "features"}`),
    iconButton(`Delete ${variant.name}`, TRASH, drop),
  );
}

async function attempt(work) {
  try {
    await work();
  } catch (error) {
    problem.value = error.message;
  }
}

