/** The map: every feature a point, those that point alike close together. Zoom, look, lasso, pick. */

import { get } from "../lib/api.js";
import { fill, h, iconButton } from "../lib/dom.js";
import { LASSO, MINUS, PLUS } from "../lib/icons.js";
import { dial } from "../chat/session.js";
import { Camera } from "./camera.js";
import { inside, nearest } from "./geometry.js";

const LISTED = 200;

export function mapView() {
  const canvas = h("canvas", { class: "map", tabindex: "0", role: "img", "aria-label": "Map of the features. The list beside it holds what is selected." });
  const tip = h("div", { class: "tip", hidden: true });
  const list = h("div", { class: "selection" }, h("p", { class: "empty" }, "Zoom with the wheel, drag to move. Draw a lasso to list what is inside, or click a point."));
  const map = new FeatureMap(canvas, tip, list);
  const lasso = iconButton("Lasso", LASSO, () => lasso.setAttribute("aria-pressed", `${(map.lassoing = !map.lassoing)}`), { "aria-pressed": "false" });
  const element = h(
    "section",
    { class: "map-view" },
    h("h1", { class: "sr-only" }, "Map of the features"),
    h("div", { class: "map-place" }, canvas, tip, h("div", { class: "map-tools" }, iconButton("Closer", PLUS, () => map.zoom(1.5)), iconButton("Farther", MINUS, () => map.zoom(1 / 1.5)), lasso)),
    h("aside", { class: "map-side", "aria-label": "Selected features" }, list),
  );
  map.load();
  return { element, left: () => map.close() };
}

class FeatureMap {
  lassoing = false;
  #points = [];
  #path = null;
  #selected = new Set();
  #camera = new Camera();
  #resized = new ResizeObserver(() => this.#fit());

  constructor(canvas, tip, list) {
    Object.assign(this, { canvas, tip, list });
    canvas.addEventListener("wheel", (event) => (event.preventDefault(), this.zoom(Math.exp(-event.deltaY / 400), this.#at(event))), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointerleave", () => (tip.hidden = true));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#resized.observe(canvas);
  }

  async load() {
    try {
      const { data } = await get("/features/map");
      this.#points = data;
      this.#camera.show(data);
      this.#fit();
      if (!data.length) fill(this.list, h("p", { class: "empty" }, "This catalogue holds no map."));
    } catch (error) {
      fill(this.list, h("p", { class: "wrong", role: "alert" }, error.message));
    }
  }

  close() {
    this.#resized.disconnect();
  }

  zoom(by, at = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    this.#camera.zoom(by, at);
    this.#draw();
  }

  #fit() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    this.#camera.resize(canvas.clientWidth, canvas.clientHeight);
    this.#draw();
  }

  #draw() {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const ratio = devicePixelRatio || 1;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    const radius = Math.min(7, 1.6 * Math.sqrt(this.#camera.closeness));
    context.fillStyle = style.getPropertyValue("--point");
    for (const point of this.#points) this.#dot(context, point, radius, 0.35 + 0.65 * (point.rating ?? 0.3));
    context.fillStyle = style.getPropertyValue("--point-chosen");
    for (const point of this.#points) if (this.#selected.has(point.index)) this.#dot(context, point, radius + 1, 1);
    context.globalAlpha = 1;
    if (this.#path) {
      context.strokeStyle = style.getPropertyValue("--point-chosen");
      context.beginPath();
      for (const [x, y] of this.#path) context.lineTo(x, y);
      context.stroke();
    }
  }

  #dot(context, point, radius, alpha) {
    const [x, y] = this.#camera.toScreen(point);
    if (x < -9 || y < -9 || x > this.canvas.clientWidth + 9 || y > this.canvas.clientHeight + 9) return;
    context.globalAlpha = alpha;
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fill();
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #under(event) {
    return nearest(this.#points, (point) => this.#camera.toScreen(point), this.#at(event), 12);
  }

  #press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pressed = { at: this.#at(event), moved: false };
    if (this.lassoing || event.shiftKey) this.#path = [this.#at(event)];
  }

  #move(event) {
    const at = this.#at(event);
    if (this.pressed) {
      const [dx, dy] = [at[0] - this.pressed.at[0], at[1] - this.pressed.at[1]];
      this.pressed.moved ||= Math.hypot(dx, dy) > 3;
      if (this.#path) this.#path.push(at);
      else this.#camera.move(dx, dy);
      if (!this.#path) this.pressed.at = at;
      this.#draw();
      return;
    }
    const point = this.#under(event);
    this.tip.hidden = !point;
    if (!point) return;
    this.tip.textContent = point.label;
    this.tip.style.setProperty("--x", `${Math.min(at[0], this.canvas.clientWidth - 200)}px`);
    this.tip.style.setProperty("--y", `${at[1]}px`);
  }

  #release(event) {
    const { moved } = this.pressed ?? {};
    const path = this.#path;
    this.pressed = null;
    this.#path = null;
    if (path && moved) this.#select(this.#points.filter((point) => inside(path, this.#camera.toScreen(point))));
    else if (!moved) {
      const point = this.#under(event);
      this.#select(point ? [point] : []);
    }
    this.#draw();
  }

  #key(event) {
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (moves[event.key]) this.#camera.move(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") return this.zoom(1.5);
    else if (event.key === "-") return this.zoom(1 / 1.5);
    else if (event.key === "Enter") {
      const box = [0, 0, this.canvas.clientWidth, this.canvas.clientHeight];
      this.#select(this.#points.filter((point) => {
        const [x, y] = this.#camera.toScreen(point);
        return x > box[0] && y > box[1] && x < box[2] && y < box[3];
      }));
    } else return null;
    event.preventDefault();
    return this.#draw();
  }

  #select(points) {
    this.#selected = new Set(points.map(({ index }) => index));
    const shown = points.slice(0, LISTED);
    fill(
      this.list,
      h("h2", {}, `${points.length.toLocaleString("en")} selected`),
      points.length > LISTED && h("p", { class: "fine" }, `The first ${LISTED} are listed: zoom in for fewer.`),
      h("ul", {}, shown.map((point) =>
        h("li", { class: "feature-row" }, h("a", { href: `#/feature/${point.index}`, class: "label" }, point.label), iconButton(`Turn ${point.label}`, PLUS, () => dial(point))),
      )),
    );
    this.#draw();
  }
}
