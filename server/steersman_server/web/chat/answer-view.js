/**
 * An answer, token by token: every token can be picked to be explained, and shaded by a feature.
 *
 * Tokens are plain text to a screen reader; the answer takes the focus, arrow keys pick a token.
 */

import { fill, h, iconButton } from "../lib/dom.js";
import { openDrawer } from "../lib/drawer.js";
import { short, signed, visible } from "../lib/format.js";
import { AGAIN, COPY } from "../lib/icons.js";
import { say } from "../lib/say.js";
import { textOf } from "./conversation.js";
import { heat, picked, shading } from "./picked.js";
import { again, chosen, current, dials } from "./session.js";
import { growth } from "./streaming.js";

const FINISHES = {
  length: "Cut off at the length in the settings.",
  tool_calls: "The model calls a tool, which nothing here carries out.",
  content_filter: "Ended by the server's content filter. Another question, or weaker edits, may pass.",
};
const UNDER_WAY = ["waiting", "streaming"];

/** The element of one answer. */
export function answerView(answer, place) {
  const words = h("div", {
    class: "words", tabindex: "0", role: "group",
    "aria-label": `Answer ${place.column.name}. Arrow keys pick a word, which is then explained.`,
  });
  const foot = h("div", { class: "answer-foot" });
  const element = h("div", { class: "answer" }, words, foot);
  let shown = null;
  const grow = () => {
    for (let at = words.children.length; at < answer.tokens.length; at++) words.append(tokenView(answer.tokens[at], at));
    if (answer.state !== shown) {
      const isUnderWay = UNDER_WAY.includes(answer.state);
      if (shown && !isUnderWay) say(answer.error ?? `${place.column.name}: ${textOf(answer)}`);
      shown = answer.state;
      words.classList.toggle("growing", isUnderWay);
      fill(foot, footOf(answer, place));
    }
    follow(element);
  };
  const growing = growth(answer);
  if (growing) growing.watch(grow);
  else grow();

  const pick = (token) => {
    if (token < 0 || token >= answer.tokens.length || growth(answer)) return;
    chosen.value = current.value.columns.indexOf(place.column);
    dials.notify();
    picked.value = { answer, ...place, token };
    openDrawer("panel");
    say(`Explaining “${answer.tokens[token].text.trim()}”.`);
  };
  words.addEventListener("click", (event) => {
    const at = event.target.dataset?.at;
    if (at !== undefined && getSelection().isCollapsed) pick(Number(at));
  });
  words.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    pick((picked.value?.answer === answer ? picked.value.token : -step + (step > 0 ? 0 : answer.tokens.length)) + step);
  });
  watchWhileShown(element, [
    picked.watch(() => mark(words, answer)),
    shading.watch(() => shade(words, answer)),
  ]);
  return element;
}

function tokenView({ text, logprob }, at) {
  const title = logprob === null || logprob === undefined ? null : `${visible(text)} · probability ${Math.exp(logprob).toFixed(2)}`;
  return h("span", { class: "token", "data-at": at, title }, text);
}

function mark(words, answer) {
  words.querySelector(".picked")?.classList.remove("picked");
  if (picked.value?.answer === answer) words.children[picked.value.token]?.classList.add("picked");
}

function shade(words, answer) {
  const shown = shading.value?.answer === answer ? shading.value : null;
  words.classList.toggle("shaded", Boolean(shown));
  [...words.children].forEach((word, at) => word.style.setProperty("--heat", shown ? heat(shown.said[at] ?? 0, shown.h_max) : 0));
}

function footOf(answer, { index, column, isLast }) {
  if (answer.state === "waiting") return h("span", { class: "fine" }, "Thinking …");
  if (answer.state === "streaming") return null;
  const retry = () => again(index, column);
  return [
    answer.state === "failed" && failure(answer, isLast && retry),
    answer.state === "stopped" && h("span", { class: "fine" }, "Stopped."),
    FINISHES[answer.finish] && h("span", { class: "fine" }, FINISHES[answer.finish]),
    found(answer.moderation).map((text) => h("span", { class: "fine" }, text)),
    answer.steering?.edits.length > 0 && receipt(answer.steering),
    h("span", { class: "spread" }),
    iconButton("Copy the answer", COPY, () => navigator.clipboard?.writeText(textOf(answer)).then(() => say("Copied."))),
    isLast && iconButton("Answer again", AGAIN, retry),
  ];
}

function failure({ error }, retry) {
  return h(
    "div",
    { class: "failure", role: "alert" },
    h("p", { class: "wrong" }, error),
    retry && h("button", { type: "button", onclick: retry }, "Try again"),
  );
}

/** What moderation found, and whether it ended the answer. */
function found(moderation) {
  return ["input", "output"].flatMap((side) =>
    (moderation?.[side]?.results ?? []).filter(({ flagged }) => flagged).map(({ blocked, categories }) => {
      const names = blocked ? [blocked] : Object.keys(categories).filter((name) => categories[name]);
      return `${blocked ? "Blocked" : "Flagged"}, ${side === "input" ? "question" : "answer"}: ${names.join(", ").replaceAll("_", " ")}.`;
    }),
  );
}

function receipt(steering) {
  return h(
    "details",
    { class: "receipt" },
    h("summary", {}, `Steered by ${steering.edits.length} ${steering.edits.length === 1 ? "feature" : "features"}`),
    h(
      "ul",
      {},
      steering.edits.map((edit) => h("li", {}, h("a", { href: `#/feature/${edit.feature}` }, edit.label), ` ${done(edit)}`)),
    ),
  );
}

/** What an edit really did. */
function done({ mode, strength, tokens_edited, mean_activation_before }) {
  const verb = { set: "held at", add: "moved by", scale: "multiplied by" }[mode];
  return `${verb} ${mode === "scale" ? short(strength) : signed(strength)} on ${tokens_edited} tokens, where it was ${short(mean_activation_before)} on average`;
}

function follow(element) {
  const scroll = element.closest(".scroll");
  if (scroll && scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 140) scroll.scrollTop = scroll.scrollHeight;
}

/** Call each of `unwatch` once the element is no longer on the page. */
export function watchWhileShown(element, unwatch) {
  const ended = new MutationObserver(() => {
    if (element.isConnected) return;
    unwatch.forEach((end) => end());
    ended.disconnect();
  });
  requestAnimationFrame(() => ended.observe(document.getElementById("main"), { childList: true, subtree: true }));
}
