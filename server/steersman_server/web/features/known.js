/** What the catalogue knows of a feature; asked once. */

import { get } from "../lib/api.js";

const asked = new Map(); // index -> promise of a dashboard

/** All that is known of a feature. */
export function known(index) {
  if (!asked.has(index)) {
    asked.set(index, get(`/features/${encodeURIComponent(index)}/dashboard`).catch((error) => (asked.delete(index), Promise.reject(error))));
  }
  return asked.get(index);
}

/** How far a feature can be turned up before ordinary text falls apart, in units of h_max; null if it was not measured. */
export const coherentStrength = ({ scores }) => scores.find(({ test }) => test === "coherent_strength")?.value ?? null;
