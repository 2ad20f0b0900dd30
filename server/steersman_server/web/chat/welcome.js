/** What a first-time visitor sees: what this is, and a way to begin. */

import { h } from "../lib/dom.js";
import { ask } from "./session.js";

const QUESTIONS = ["What should I do this weekend?", "Write a short poem about the sea.", "How do I learn to program?"];

export function welcome() {
  return h(
    "div",
    { class: "welcome" },
    h("h2", {}, "See what moves an answer. Then turn it."),
    h(
      "ol",
      {},
      h("li", {}, h("b", {}, "Ask"), " anything."),
      h("li", {}, h("b", {}, "Click a word"), " of the answer: the features behind it appear."),
      h("li", {}, h("b", {}, "Turn a feature"), " up or down, apply, and watch the answer change."),
    ),
    h(
      "div",
      { class: "starters" },
      QUESTIONS.map((question) => h("button", { type: "button", onclick: () => ask(question) }, question)),
    ),
  );
}
