/** A histogram of a feature's activations, from 0 to h_max. */

import { svg } from "../lib/dom.js";
import { short } from "../lib/format.js";

const WIDTH = 320;
const HEIGHT = 72;

/** `counts` of equal bins; heights are on a square-root scale, so that rare strong firings show. */
export function histogram(counts, h_max) {
  const most = Math.max(...counts, 1);
  const step = WIDTH / counts.length;
  const bars = counts.map((count, bin) => {
    const height = Math.sqrt(count / most) * (HEIGHT - 4);
    const range = `${short((bin / counts.length) * h_max)} to ${short(((bin + 1) / counts.length) * h_max)}`;
    return svg(
      "rect",
      { x: bin * step + 1, y: HEIGHT - height, width: Math.max(1, step - 2), height, rx: 1.5 },
      svg("title", {}, `${range}: ${count.toLocaleString("en")} tokens`),
    );
  });
  const said = `Activations of 0 to ${short(h_max)}; ${counts.reduce((sum, count) => sum + count, 0).toLocaleString("en")} tokens.`;
  return svg("svg", { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said, preserveAspectRatio: "none" }, bars);
}
