/** Points on a canvas, the camera that looks at them, and those that are selected. */

import { Signal } from "../lib/store.js";
import { Camera } from "./camera.js";
import { inside, nearest } from "./geometry.js";
import { watchGestures } from "./gestures.js";

const REACH = 14; // px around a point within which it is meant
const NAMED = 28; // labels are drawn when so few points are in view
const STEPS = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

export class FeatureMap {
  /** Whether a drag draws a lasso. */
  lassoing = new Signal(false);
  #points = [];
  #path = null;
  #selected = new Set();
  #camera = new Camera();
  #resized = new ResizeObserver(() => this.#fit());
  #themed = matchMedia("(prefers-color-scheme: dark)");
  #redraw = () => this.#draw();

  /** Draw on `canvas`, name what is pointed at in `tip`, tell `chosen` of the points that were selected. */
  constructor(canvas, tip, chosen) {
    Object.assign(this, { canvas, tip, chosen });
    watchGestures(canvas, {
      isDrawing: (event) => this.lassoing.value || event.shiftKey,
      drag: (dx, dy) => (this.#camera.move(dx, dy), this.#draw()),
      zoom: (by, at) => this.zoom(by, at),
      draw: (path) => ((this.#path = path), this.#draw()),
      drawn: (path) => this.#surround(path),
      tap: (at) => this.#choose([this.#under(at)].filter(Boolean)),
      hover: (at) => this.#name(at),
      leave: () => (tip.hidden = true),
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.#resized.observe(canvas);
    this.#themed.addEventListener("change", this.#redraw);
    document.documentElement.addEventListener("themed", this.#redraw);
  }

  /** Show points `{ index, label, x, y, rating }`, all of them in view. */
  show(points) {
    this.#points = points;
    this.#camera.show(points);
    this.#fit();
  }

  close() {
    this.#resized.disconnect();
    this.#themed.removeEventListener("change", this.#redraw);
    document.documentElement.removeEventListener("themed", this.#redraw);
  }

  toggleLasso() {
    this.lassoing.value = !this.lassoing.value;
  }

  zoom(by, at = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2]) {
    this.#camera.zoom(by, at);
    this.tip.hidden = true;
    this.#draw();
  }

  /** Select features by index, in that order. */
  select(indices) {
    const byIndex = new Map(this.#points.map((point) => [point.index, point]));
    this.#choose(indices.map((index) => byIndex.get(index)).filter(Boolean));
  }

  #choose(points) {
    this.#selected = new Set(points);
    this.chosen(points);
    this.#draw();
  }

  #surround(path) {
    this.#path = null;
    this.lassoing.value = false;
    this.#choose(this.#points.filter((point) => inside(path, this.#camera.toScreen(point))));
  }

  #under(at) {
    return nearest(this.#points, (point) => this.#camera.toScreen(point), at, REACH);
  }

  #name(at) {
    const point = this.#under(at);
    this.tip.hidden = !point;
    this.canvas.classList.toggle("on-point", Boolean(point));
    if (!point) return;
    this.tip.textContent = point.label;
    this.tip.style.setProperty("--x", `${Math.min(at[0], this.canvas.clientWidth - 240)}px`);
    this.tip.style.setProperty("--y", `${at[1]}px`);
  }

  #key(event) {
    if (STEPS[event.key]) this.#camera.move(...STEPS[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "Enter") this.#choose(this.#points.filter((point) => this.#isInView(point)));
    else return;
    event.preventDefault();
    this.#draw();
  }

  #isInView(point) {
    const [x, y] = this.#camera.toScreen(point);
    return x > 0 && y > 0 && x < this.canvas.clientWidth && y < this.canvas.clientHeight;
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
    const radius = Math.min(7, 2 * Math.sqrt(this.#camera.closeness));
    const shown = this.#points.filter((point) => this.#isInView(point));
    context.fillStyle = style.getPropertyValue("--point");
    const faint = this.#selected.size ? 0.4 : 1;
    for (const point of shown) if (!this.#selected.has(point)) this.#dot(context, point, radius, faint * (0.25 + 0.75 * (point.rating ?? 0.2)));
    context.fillStyle = style.getPropertyValue("--point-chosen");
    for (const point of shown) if (this.#selected.has(point)) this.#dot(context, point, radius + 1.5, 1);
    context.globalAlpha = 1;
    context.fillStyle = style.getPropertyValue("--ink");
    context.font = `12px ${style.fontFamily}`;
    if (shown.length <= NAMED) for (const point of shown) this.#label(context, point, radius);
    if (this.#path) this.#outline(context, style.getPropertyValue("--point-chosen"));
  }

  #dot(context, point, radius, alpha) {
    const [x, y] = this.#camera.toScreen(point);
    context.globalAlpha = alpha;
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    context.fill();
  }

  #label(context, point, radius) {
    const [x, y] = this.#camera.toScreen(point);
    context.fillText(point.label.length > 42 ? `${point.label.slice(0, 40)} …` : point.label, x + radius + 4, y + 4);
  }

  #outline(context, color) {
    context.strokeStyle = color;
    context.lineWidth = 1.5;
    context.beginPath();
    for (const [x, y] of this.#path) context.lineTo(x, y);
    context.stroke();
  }
}
