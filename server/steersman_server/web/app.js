/** The page: its frame, its routes, and what holds everywhere. */

import { get, key, reach } from "./lib/api.js";
import { fill, h, icon, iconButton } from "./lib/dom.js";
import { closeDrawers, toggleDrawer } from "./lib/drawer.js";
import { DIALS, MENU, MOON } from "./lib/icons.js";
import { StoredSignal } from "./lib/store.js";
import { chatView } from "./chat/chat-view.js";
import { conversationList } from "./chat/conversation-list.js";
import { shownEdits } from "./chat/conversation.js";
import { chosenColumn, dials, model, problem, restore } from "./chat/session.js";
import { browserView } from "./explore/browser-view.js";
import { mapView } from "./explore/map-view.js";
import { featureView } from "./features/feature-view.js";
import { panel } from "./steer/panel.js";

const ROUTES = [
  ["chat", "Chat", chatView],
  ["features", "Features", browserView],
  ["map", "Map", mapView],
  ["feature", null, featureView],
];
const RETRY_MS = 3000;
const theme = new StoredSignal("theme", "auto");
const main = h("main", { id: "main", tabindex: "-1" });
const nav = h("nav", { "aria-label": "Views", class: "views" });
let leave = () => {};

theme.watch((value) => {
  if (value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = value;
  document.documentElement.dispatchEvent(new Event("themed")); // for what is drawn rather than styled
});

start();

async function start() {
  document.getElementById("app").replaceChildren(frame());
  restore();
  window.addEventListener("hashchange", () => {
    route();
    if (document.activeElement === document.body) main.focus(); // what had the focus is gone
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeDrawers();
  });
  reach.watch((state) => state === "down" && setTimeout(tryAgain, RETRY_MS));
  route();
  await connect();
}

/** Ask the server what it serves; false if it does not say. */
async function connect() {
  try {
    const { data } = await get("/models");
    model.value = data.find((served) => !served.id.includes(":")) ?? data[0];
    return true;
  } catch (error) {
    if (reach.value === "up") problem.value = error.message;
    return false;
  }
}

/** Connect, and load anew what could not be loaded. */
async function tryAgain() {
  if (reach.value === "up") return;
  if (await connect()) route();
  else if (reach.value === "down") setTimeout(tryAgain, RETRY_MS);
}

function frame() {
  return h(
    "div",
    { class: "frame" },
    h(
      "header",
      { class: "top" },
      iconButton("Conversations", MENU, () => toggleDrawer("side"), { class: "icon-button only-narrow" }),
      h("a", { class: "brand", href: "#/chat" }, mark(), "steersman"),
      nav,
      modelName(),
      iconButton("Light or dark", MOON, turnTheme),
      dialsButton(),
    ),
    banner(),
    conversationList(() => {
      location.hash = "#/chat";
      closeDrawers();
    }),
    main,
    panel(),
    h("div", { class: "scrim", onclick: closeDrawers }),
    h("div", { class: "sr-only", id: "said", role: "status", "aria-live": "polite" }),
  );
}

function mark() {
  return h("img", { src: new URL("icon.svg", import.meta.url), alt: "", width: 22, height: 22 });
}

function modelName() {
  const name = h("span", { class: "model-name" });
  model.watch((served) => {
    fill(name, served ? h("span", {}, served.id) : "connecting …");
    if (served) name.title = `${served.bundle}: ${served.d_sae.toLocaleString("en")} features after block ${served.layer}`;
  });
  return name;
}

/** Opens the panel where there is no room beside the page; says how many features are turned, and if that is not applied. */
function dialsButton() {
  const button = h("button", { type: "button", class: "with-icon only-narrow", onclick: () => toggleDrawer("panel") });
  dials.watch(() => {
    const { pending } = chosenColumn();
    const count = shownEdits(chosenColumn()).length;
    button.classList.toggle("primary", pending !== null);
    fill(button, icon(DIALS), h("span", { class: "sr-only" }, "Dials"), count > 0 && `${count}`);
  });
  return button;
}

function banner() {
  const place = h("div", { class: "banner-place" });
  const show = () => {
    if (reach.value === "locked") fill(place, keyForm());
    else if (reach.value === "down") {
      fill(place, note("The server does not answer. Trying again …", "Try now", tryAgain));
    } else if (problem.value) fill(place, note(problem.value, "Dismiss", () => (problem.value = null)));
    else fill(place);
  };
  reach.watch(show);
  problem.watch(show);
  return place;
}

function note(text, action, onclick) {
  return h("div", { class: "banner", role: "alert" }, h("span", {}, text), h("button", { type: "button", onclick }, action));
}

function keyForm() {
  const input = h("input", { type: "password", name: "key", autocomplete: "off", required: true, "aria-label": "API key" });
  const text = h("span", { role: "status" }, "This server wants an API key.");
  const onsubmit = async (event) => {
    event.preventDefault();
    key.value = input.value.trim();
    if (await connect()) route();
    else text.textContent = "The server does not know this API key.";
  };
  return h("form", { class: "banner", onsubmit }, text, input, h("button", { type: "submit", class: "primary" }, "Use it"));
}

function route() {
  const [, name = "chat", ...rest] = location.hash.split("?")[0].split("/");
  const [, title, view] = ROUTES.find(([route]) => route === name) ?? ROUTES[0];
  leave();
  document.title = title && name !== "chat" ? `${title} · steersman` : "steersman";
  const { element, left = () => {}, scroll = 0 } = view(rest, new URLSearchParams(location.hash.split("?")[1] ?? ""));
  leave = left;
  main.className = `view-${name}`;
  fill(main, element);
  main.scrollTop = scroll;
  fill(
    nav,
    ROUTES.filter(([, title]) => title).map(([route, title]) =>
      h("a", { href: `#/${route}`, "aria-current": route === name || (route === "features" && name === "feature") ? "page" : null }, title),
    ),
  );
}

function turnTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const shown = theme.value === "auto" ? (dark ? "dark" : "light") : theme.value;
  theme.value = shown === "dark" ? "light" : "dark";
}
