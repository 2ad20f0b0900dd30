/** The map: every feature a point, those that are alike close together. Zoom, look, search, lasso, pick. */

import { get } from "../lib/api.js";
import { fill, h, iconButton } from "../lib/dom.js";
import { LASSO, MINUS, PLUS } from "../lib/icons.js";
import { say } from "../lib/say.js";
import { dial, problem } from "../chat/session.js";
import { FeatureMap } from "./feature-map.js";

const LISTED = 200;
const FOUND = 40;
const HELP = [
  "Each point is a feature; alike ones lie close together, and the strongly coloured have the best-tested labels.",
  "Drag to move; zoom with the wheel, two fingers, or + and −. Click a point, or draw a lasso around several, to list them here.",
  "With the keyboard: arrows, +, − and Enter, which lists what is in view.",
];

export function mapView() {
  const canvas = h("canvas", { class: "map", tabindex: "0", role: "application", "aria-label": "Map of the features. Arrow keys move it, plus and minus zoom, Enter lists what is in view beside it." });
  const tip = h("div", { class: "tip", hidden: true });
  const list = h("div", { class: "selection" }, HELP.map((text) => h("p", { class: "fine" }, text)));
  const map = new FeatureMap(canvas, tip, (points) => fill(list, selection(points)));
  const lasso = iconButton("Lasso", LASSO, () => map.toggleLasso(), { "aria-pressed": "false" });
  map.lassoing.watch((on) => lasso.setAttribute("aria-pressed", `${on}`));
  const element = h(
    "section",
    { class: "map-view" },
    h("h1", { class: "sr-only" }, "Map of the features"),
    h("div", { class: "map-place" }, canvas, tip, h("div", { class: "map-tools" }, iconButton("Closer", PLUS, () => map.zoom(1.5)), iconButton("Farther", MINUS, () => map.zoom(1 / 1.5)), lasso)),
    h("aside", { class: "map-side", "aria-label": "Selected features" }, finder(map, list), list),
  );
  load(map, list);
  return { element, left: () => map.close() };
}

async function load(map, list) {
  try {
    const { data } = await get("/features/map");
    map.show(data);
    if (!data.length) fill(list, h("p", { class: "empty" }, "This catalogue holds no map. `steersman label` makes one."));
  } catch (error) {
    fill(list, h("p", { class: "wrong", role: "alert" }, error.message), h("button", { type: "button", onclick: () => load(map, list) }, "Try again"));
  }
}

/** A search whose finds are lit on the map. */
function finder(map, list) {
  const input = h("input", { type: "search", placeholder: "Find on the map", "aria-label": "Find on the map" });
  const onsubmit = async (event) => {
    event.preventDefault();
    const query = input.value.trim();
    if (!query) return map.select([]);
    try {
      const { data } = await get("/features", { query, limit: FOUND });
      map.zoom(0); // finds may lie anywhere
      return map.select(data.map(({ index }) => index));
    } catch (error) {
      return fill(list, h("p", { class: "wrong", role: "alert" }, error.message));
    }
  };
  return h("form", { role: "search", onsubmit }, input);
}

function selection(points) {
  const count = `${points.length.toLocaleString("en")} selected`;
  say(count);
  return [
    h("h2", {}, count),
    points.length > LISTED && h("p", { class: "fine" }, `The first ${LISTED} are listed: zoom in for fewer.`),
    h("ul", {}, points.slice(0, LISTED).map((point) =>
      h("li", { class: "feature-row" }, h("a", { href: `#/feature/${point.index}`, class: "label" }, point.label), iconButton(`Turn ${point.label}`, PLUS, () => turn(point))),
    )),
  ];
}

/** A point knows too little of its feature for a dial. */
async function turn({ index }) {
  try {
    dial(await get(`/features/${index}`));
  } catch (error) {
    problem.value = error.message;
  }
}
