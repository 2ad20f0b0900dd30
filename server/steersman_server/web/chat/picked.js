/** The token that is being explained, and the feature whose firing shades a turn. */

import { Signal } from "../lib/store.js";

/** `{ answer, index, column, token }`, or null. */
export const picked = new Signal(null);
/** `{ answer, h_max, said, asked }`, or null: activations at each token of the answer, and `{ token, activation }` of the question's. */
export const shading = new Signal(null);

/** How much of its largest activation, 0 to 1. */
export const heat = (activation, h_max) => Math.min(1, Math.max(0, activation / (h_max || 1)));
