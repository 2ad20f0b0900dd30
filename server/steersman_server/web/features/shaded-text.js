/** Text whose tokens are shaded by how much a feature fires on them. */

import { h } from "../lib/dom.js";
import { short, visible } from "../lib/format.js";

/** `tokens` and `activations` of one length; `peak` is marked. */
export function shadedText({ tokens, activations, peak }, h_max) {
  return h(
    "p",
    { class: "shaded-text" },
    tokens.map((token, at) =>
      activations[at] > 0
        ? h(
            "span",
            { class: at === peak ? "fires peak" : "fires", title: `${visible(token)} · ${short(activations[at])}`, vars: { "--heat": Math.min(1, activations[at] / (h_max || 1)) } },
            token,
          )
        : token,
    ),
  );
}
