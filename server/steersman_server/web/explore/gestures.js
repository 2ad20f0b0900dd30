/** Fingers and mice on a surface: drag, draw, tap, pinch. */

const STILL = 3; // px: less is a tap

/**
 * Tell `of` what is done on `surface`: `drag(dx, dy)`, `zoom(factor, at)`, `draw(path)` while `isDrawing(event)` was
 * true at its start, `drawn(path)`, `tap(at)`, `hover(at)` and `leave()`. Places are pixels from its upper left corner.
 */
export function watchGestures(surface, of) {
  const down = new Map(); // pointer -> place
  let path = null;
  let moved = false;
  const at = (event) => {
    const box = surface.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const end = (event) => {
    if (!down.delete(event.pointerId) || down.size) return;
    if (path && moved) of.drawn(path);
    else if (!moved && event.type === "pointerup") of.tap(at(event));
    path = null;
  };
  surface.addEventListener("pointerdown", (event) => {
    surface.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    moved = down.size > 1;
    path = down.size === 1 && of.isDrawing(event) ? [at(event)] : null;
  });
  surface.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    const now = at(event);
    if (!before) return of.hover(now);
    const [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    if (!moved && Math.hypot(dx, dy) <= STILL) return null;
    moved = true;
    const others = [...down].filter(([pointer]) => pointer !== event.pointerId).map(([, place]) => place);
    down.set(event.pointerId, now);
    if (others.length) return of.zoom(apart(now, others[0]) / (apart(before, others[0]) || 1), middle(now, others[0]));
    if (!path) return of.drag(dx, dy);
    path.push(now);
    return of.draw(path);
  });
  surface.addEventListener("pointerup", end);
  surface.addEventListener("pointercancel", end);
  surface.addEventListener("pointerleave", () => of.leave());
  surface.addEventListener("wheel", (event) => (event.preventDefault(), of.zoom(Math.exp(-event.deltaY / 400), at(event))), { passive: false });
}

const apart = ([ax, ay], [bx, by]) => Math.hypot(ax - bx, ay - by);
const middle = ([ax, ay], [bx, by]) => [(ax + bx) / 2, (ay + by) / 2];
