/** Where on the plane one looks from: the plane's coordinates to the screen's. */

export class Camera {
  #scale = 1;
  #offset = [0, 0];
  #size = [1, 1];
  #bounds = null;
  /** How many times closer than the whole map. */
  closeness = 1;

  /** Fit a set of points `{ x, y }`. */
  show(points) {
    if (!points.length) return;
    const xs = points.map(({ x }) => x);
    const ys = points.map(({ y }) => y);
    this.#bounds = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    this.#frame();
  }

  /** The screen is so large now. */
  resize(width, height) {
    this.#size = [Math.max(1, width), Math.max(1, height)];
    if (this.closeness === 1) this.#frame();
  }

  /** Come closer by a factor; what is `at` stays in its place. */
  zoom(by, at) {
    const closeness = Math.min(40, Math.max(1, this.closeness * by));
    const factor = closeness / this.closeness;
    this.closeness = closeness;
    this.#scale *= factor;
    this.#offset = this.#offset.map((offset, axis) => at[axis] - (at[axis] - offset) * factor);
    if (closeness === 1) this.#frame();
  }

  /** Move by so many pixels. */
  move(dx, dy) {
    this.#offset = [this.#offset[0] + dx, this.#offset[1] + dy];
  }

  toScreen({ x, y }) {
    return [x * this.#scale + this.#offset[0], y * this.#scale + this.#offset[1]];
  }

  #frame() {
    if (!this.#bounds) return;
    const [left, top, right, bottom] = this.#bounds;
    const [width, height] = this.#size;
    this.#scale = 0.94 * Math.min(width / (right - left || 1), height / (bottom - top || 1));
    this.#offset = [width / 2 - (this.#scale * (left + right)) / 2, height / 2 - (this.#scale * (top + bottom)) / 2];
  }
}
