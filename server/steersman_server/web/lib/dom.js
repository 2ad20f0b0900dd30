/** Elements from code. Strings become text and never markup: labels and model text are untrusted. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Build an HTML element: `h("button", { class: "primary", onclick: save }, "Save")`.
 *
 * `on…` adds a listener; `vars` sets custom properties of CSS; true and false set and leave out a
 * boolean attribute; null and undefined leave any out. Children are nodes, strings, arrays or null.
 */
export function h(tag, props, ...children) {
  return build(document.createElement(tag), props, children);
}

/** Build an SVG element, as `h` does. */
export function svg(tag, props, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

/** Put `children` in place of all that `parent` holds. */
export function fill(parent, ...children) {
  parent.replaceChildren(...flat(children));
  return parent;
}

/** A 20 px icon drawn with one path. */
export function icon(path) {
  return svg(
    "svg",
    { viewBox: "0 0 20 20", class: "icon", "aria-hidden": "true" },
    svg("path", { d: path }),
  );
}

/** A button that holds only an icon; `label` is what it says to those who do not see it. */
export function iconButton(label, path, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(path));
}

function build(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [key, to] of Object.entries(value)) element.style.setProperty(key, to);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
