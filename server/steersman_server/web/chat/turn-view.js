/** One question and its answers. */

import { fill, h, iconButton } from "../lib/dom.js";
import { PEN } from "../lib/icons.js";
import { answerView, watchWhileShown } from "./answer-view.js";
import { heat, shading } from "./picked.js";
import { reask } from "./session.js";

export function turnView(turn, index, conversation) {
  return h(
    "article",
    { class: "turn", "aria-label": `Turn ${index + 1}` },
    question(turn, index),
    h(
      "div",
      { class: "answers" },
      conversation.columns.map((column) => {
        const answer = turn.answers[column.id];
        return answer ? answerView(answer, { index, column, isLast: index === conversation.turns.length - 1 }) : h("div", { class: "answer none" });
      }),
    ),
  );
}

function question(turn, index) {
  const row = h("div", { class: "question" });
  const edit = () => row.replaceChildren(editor(turn, index, () => row.replaceWith(question(turn, index))));
  const words = h("p", {}, turn.question);
  row.append(words, iconButton("Edit and ask again", PEN, edit));
  watchWhileShown(row, [shading.watch(() => shade(words, turn))]);
  return row;
}

/** Shade the question where a feature fires in it, if its tokens are known to be its text. */
function shade(words, { question, answers }) {
  const { answer, asked = [], h_max } = shading.value ?? {};
  const isHere = Object.values(answers).includes(answer) && asked.map(({ token }) => token).join("") === question;
  if (!isHere) return words.firstElementChild && fill(words, question);
  return fill(words, asked.map(({ token, activation }) => (activation > 0 ? h("span", { class: "fires", vars: { "--heat": heat(activation, h_max) } }, token) : token)));
}

function editor(turn, index, cancel) {
  const area = h("textarea", { rows: 3, "aria-label": "Your message", value: turn.question });
  const onsubmit = (event) => {
    event.preventDefault();
    if (area.value.trim()) reask(index, area.value.trim());
  };
  requestAnimationFrame(() => area.focus());
  return h(
    "form",
    { class: "question-editor", onsubmit },
    area,
    h("p", { class: "fine" }, "What came after it is dropped."),
    h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Ask again"), h("button", { type: "button", onclick: cancel }, "Cancel")),
  );
}
