/** Points and polygons on the screen. */

/** Whether a polygon `[[x, y], …]` holds a point, by the even-odd rule. */
export function inside(polygon, [x, y]) {
  let odd = false;
  for (let here = 0, before = polygon.length - 1; here < polygon.length; before = here++) {
    const [ax, ay] = polygon[here];
    const [bx, by] = polygon[before];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  }
  return odd;
}

/** The item that `place` puts closest to a point, within `reach` pixels, or null. */
export function nearest(items, place, [x, y], reach) {
  let best = null;
  let least = reach;
  for (const item of items) {
    const [ix, iy] = place(item);
    const distance = Math.hypot(ix - x, iy - y);
    if (distance < least) [best, least] = [item, distance];
  }
  return best;
}
