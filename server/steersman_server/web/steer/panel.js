/** The panel beside the chat: what steers (dials), and what explains (the picked token, the answer). */

import { fill, h, iconButton } from "../lib/dom.js";
import { closeDrawers } from "../lib/drawer.js";
import { CLOSE } from "../lib/icons.js";
import { Signal } from "../lib/store.js";
import { picked } from "../chat/picked.js";
import { dialsView } from "./dials-view.js";
import { explainView } from "./explain-view.js";
import { pendingBar } from "./pending-bar.js";

const TABS = [
  ["steer", "Steer"],
  ["explain", "Explain"],
];
const tab = new Signal("steer");

/** The panel's element; it lives as long as the page. */
export function panel() {
  const views = { steer: dialsView(), explain: explainView() };
  const list = h("div", { class: "tabs", role: "tablist", "aria-label": "Panel" });
  const bodies = TABS.map(([name]) =>
    h("div", { class: "tab-body", role: "tabpanel", id: `tab-${name}`, "aria-labelledby": `to-${name}`, tabindex: "0" }, views[name]),
  );
  tab.watch((open) => {
    fill(list, TABS.map(([name, title]) => tabButton(name, title, name === open)));
    bodies.forEach((body, index) => (body.hidden = TABS[index][0] !== open));
  });
  let last = null;
  picked.watch((pick) => {
    if (pick && pick !== last) tab.value = "explain";
    last = pick;
  });
  return h(
    "aside",
    { class: "panel", "aria-label": "Features" },
    h("div", { class: "panel-head" }, list, iconButton("Close", CLOSE, closeDrawers, { class: "icon-button only-narrow" })),
    bodies,
    pendingBar(),
  );
}

function tabButton(name, title, isOpen) {
  const turn = (event) => {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    const other = TABS.find(([each]) => each !== name)[0];
    tab.value = other;
    document.getElementById(`to-${other}`).focus();
  };
  return h(
    "button",
    {
      type: "button", role: "tab", id: `to-${name}`, "aria-controls": `tab-${name}`, "aria-selected": `${isOpen}`,
      tabindex: isOpen ? null : "-1", onclick: () => (tab.value = name), onkeydown: turn,
    },
    title,
  );
}
