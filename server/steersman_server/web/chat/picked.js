/** The token that is being explained, and the feature whose firing shades an answer. */

import { Signal } from "../lib/store.js";

/** `{ answer, index, column, token }`, or null. */
export const picked = new Signal(null);
/** `{ answer, activations, h_max }`, one activation a token of the answer; or null. */
export const shading = new Signal(null);

/** Whether the pick is in this answer. */
export const samePick = (pick, answer) => pick.answer === answer;
