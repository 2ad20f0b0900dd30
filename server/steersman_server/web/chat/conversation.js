/**
 * A conversation: turns of one question and an answer in each column. A column is a line of answers
 * under one set of edits; the question is common to all. Everything here is plain data that JSON holds.
 *
 * Column: `{ id, name, edits, pending }`. `edits` made the answers; `pending`, if not null, is what the
 * dials show and is not applied yet. Edit: `{ feature, label, h_max, strength, mode }`, and what else the API knows.
 * Answer: `{ state, tokens: [{ text, logprob }], finish, error, steering, moderation, fired, edits, draw }`; `fired` sums what
 * each feature did over the answer.
 */

import { forget, keys, read, write } from "../lib/store.js";

export const MAX_COLUMNS = 4;
const PREFIX = "chat.";

/** A new one, with a single unsteered column. */
export function newConversation() {
  return { id: crypto.randomUUID(), title: "New chat", changed: Date.now(), columns: [newColumn("A")], turns: [] };
}

/** A column without answers. */
export function newColumn(name, edits = []) {
  return { id: crypto.randomUUID(), name, edits, pending: null };
}

/** An answer that has not begun; `draw` counts how often it was drawn before. */
export function newAnswer(edits, draw = 0) {
  return { state: "waiting", tokens: [], finish: null, error: null, steering: null, fired: {}, edits, draw };
}

/** What an answer says. */
export const textOf = (answer) => answer.tokens.map((token) => token.text).join("");

/** The edits that the dials of a column show. */
export const shownEdits = (column) => column.pending ?? column.edits;

/** Whether two sets of edits do the same: their order counts only among those of one feature. */
export function sameEdits(one, other) {
  const sorted = (edits) => JSON.stringify(wireEdits([...edits].sort((a, b) => a.feature - b.feature)));
  return sorted(one) === sorted(other);
}

/** Edits as the API takes them: without what is only for people, and without what is the default. */
export function wireEdits(edits) {
  return edits.map(({ label, h_max, mode, ...rest }) => (mode && mode !== "set" ? { ...rest, mode } : rest));
}

/** The messages that a column's answer to turn number `index` replies to. */
export function messagesBefore(conversation, column, index, system) {
  const messages = system ? [{ role: "system", content: system }] : [];
  conversation.turns.slice(0, index + 1).forEach((turn, at) => {
    messages.push({ role: "user", content: turn.question });
    const answer = turn.answers[column.id];
    if (at < index && answer) messages.push({ role: "assistant", content: textOf(answer) });
  });
  return messages;
}

/** Every stored conversation, last changed first. */
export function storedConversations() {
  return keys(PREFIX)
    .map(read)
    .filter((stored) => stored?.id && Array.isArray(stored.turns) && Array.isArray(stored.columns))
    .sort((one, other) => other.changed - one.changed);
}

/** Keep it in the browser; false when there is no room. */
export function store(conversation) {
  if (!conversation.turns.length) return true;
  return write(PREFIX + conversation.id, conversation);
}

/** Take it out of the browser. */
export const discard = (conversation) => forget(PREFIX + conversation.id);
