/** The sides of the frame, which cover it where there is no room for them: `side` and `panel`. */

const frame = () => document.querySelector(".frame");

/** Show a side, or hide it. */
export const toggleDrawer = (name) => frame().classList.toggle(`show-${name}`);

/** Show a side. */
export const openDrawer = (name) => frame().classList.add(`show-${name}`);

/** Hide both. */
export const closeDrawers = () => frame().classList.remove("show-side", "show-panel");
