/** What a first-time visitor sees: what this is, and a way to begin. */

import { h } from "../lib/dom.js";
import { ask, model } from "./session.js";

const QUESTIONS = ["What should I do this weekend?", "Write a short poem about the sea.", "How do I learn to program?"];
const STEPS = [
  ["Ask", "The model answers as it always does."],
  ["Click a word", "See which features inside the model put it there."],
  ["Turn a feature", "Up or down, then read both answers side by side."],
];

export function welcome() {
  return h(
    "div",
    { class: "welcome" },
    h("h2", {}, "See what moves an answer. Then turn it."),
    h("ol", {}, STEPS.map(([title, text]) => h("li", {}, h("b", {}, title), h("span", {}, text)))),
    h("p", { class: "fine" }, "A feature is something the model can think of, such as food, an apology, or a list. Begin with:"),
    h("div", { class: "starters" }, QUESTIONS.map((question) => h("button", { type: "button", onclick: () => model.value && ask(question) }, question))),
  );
}
