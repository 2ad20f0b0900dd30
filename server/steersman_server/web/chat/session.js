/** What a person does in the chat, and what follows: the conversation on screen, and its answers under way. */

import { read, Signal, StoredSignal, write } from "../lib/store.js";
import {
  discard, messagesBefore, newAnswer, newColumn, newConversation, sameEdits, shownEdits, store, storedConversations, wireEdits,
} from "./conversation.js";
import { halt, stop, stream } from "./streaming.js";

/** How answers are drawn; a null is left to the server. */
export const settings = new StoredSignal("settings", { system: "", temperature: 0.7, top_p: 1, max_tokens: 256, seed: 0 });
/** The model the server serves, once known. */
export const model = new Signal(null);
/** The conversation on screen. Tell it (`notify`) of turns and columns, not of tokens. */
export const current = new Signal(newConversation());
/** Index of the column whose dials are shown. */
export const chosen = new Signal(0);
/** Told when edits change. */
export const dials = new Signal(null);
/** Told when the conversation on screen was stored. */
export const kept = new Signal(null);
/** A problem to say: text, or null. */
export const problem = new Signal(null);

/** The column whose dials are shown. */
export const chosenColumn = () => current.value.columns[Math.min(chosen.value, current.value.columns.length - 1)];

/** Show the conversation that was on screen last, or a new one. */
export function restore() {
  const all = storedConversations();
  const last = all.find(({ id }) => id === read("current")) ?? null;
  if (last) open(last);
}

/** Show a conversation. */
export function open(conversation) {
  stop();
  for (const turn of conversation.turns) {
    for (const answer of Object.values(turn.answers)) {
      if (answer.state === "waiting" || answer.state === "streaming") answer.state = "stopped";
    }
  }
  current.value = conversation;
  chosen.value = 0;
  write("current", conversation.id);
  dials.notify();
}

/** Begin another conversation. */
export const begin = () => open(newConversation());

/** Take a conversation out of the browser; the one on screen gives way to a new one. */
export function remove(conversation) {
  discard(conversation);
  conversation.turns = []; // an answer that is still under way is not to bring it back
  if (conversation.id === current.value.id) begin();
  else current.notify();
}

/** Ask every column. Pending edits are applied first: what the dials show is what answers. */
export function ask(question) {
  const conversation = current.value;
  conversation.columns.forEach(settle);
  if (!conversation.turns.length) conversation.title = question.trim().slice(0, 60);
  conversation.turns.push({ question, answers: {} });
  answerTurn(conversation.turns.length - 1, conversation.columns);
}

/** Ask the question of turn `index` anew, in other words; what came after it is dropped. */
export function reask(index, question) {
  stop();
  current.value.turns.length = index;
  ask(question);
}

/** Draw an answer again: with the next seed, unless there was none to see. */
export function again(index, column) {
  const { draw = 0, state } = current.value.turns[index].answers[column.id];
  settle(column);
  answerTurn(index, [column], state === "failed" ? draw : draw + 1);
}

/** Make the pending edits of a column its edits, and answer the last question under them. */
export function apply(column) {
  settle(column);
  const last = current.value.turns.length - 1;
  if (last >= 0) answerTurn(last, [column]);
  else keepStored(current.value);
}

/** Forget the pending edits of a column. */
export function revert(column) {
  column.pending = null;
  dials.notify();
}

/** Show `edits` on the dials of a column; they are not applied yet. */
export function propose(column, edits) {
  column.pending = sameEdits(edits, column.edits) ? null : edits;
  dials.notify();
}

/** Put a feature on the dials of the chosen column, or set it anew there. */
export function dial({ index, label, h_max }, strength = 0.4) {
  const column = chosenColumn();
  const edits = shownEdits(column);
  const known = edits.some(({ feature }) => feature === index);
  const turned = edits.map((edit) => (edit.feature === index ? { ...edit, strength, mode: "set" } : edit));
  propose(column, known ? turned : [...edits, { feature: index, label, h_max, strength, mode: "set" }]);
}

/** Answer under the pending edits in a column beside the chosen one, which keeps its own. */
export function applyBeside(column) {
  const { pending } = column;
  column.pending = null;
  addColumn(pending);
}

/** Add a column; its earlier answers are those of the first one, the last is drawn under `edits`. */
export function addColumn(edits) {
  const { columns, turns } = current.value;
  const column = newColumn(freeName(columns), edits);
  const source = columns[0];
  turns.slice(0, -1).forEach((turn) => {
    if (turn.answers[source.id]) turn.answers[column.id] = structuredClone(turn.answers[source.id]);
  });
  columns.push(column);
  chosen.value = columns.length - 1;
  if (turns.length) answerTurn(turns.length - 1, [column]);
  else current.notify();
  dials.notify();
}

/** Take a column away, with its answers. */
export function removeColumn(column) {
  const { columns, turns } = current.value;
  columns.splice(columns.indexOf(column), 1);
  for (const turn of turns) {
    halt(turn.answers[column.id]);
    delete turn.answers[column.id];
  }
  chosen.value = Math.min(chosen.value, columns.length - 1);
  current.notify();
  dials.notify();
  keepStored(current.value);
}

/** The features that fired strongest over an answer, strongest first. */
export const strongest = (answer) => Object.values(answer.fired ?? {}).sort((one, other) => other.total - one.total);

/** The body of the request for a column's answer to turn `index`. */
export function requestFor(index, column) {
  const { system, temperature, top_p, max_tokens, seed } = settings.value;
  const body = {
    model: model.value.id,
    messages: messagesBefore(current.value, column, index, system),
    temperature, top_p, max_tokens,
  };
  if (seed !== null) body.seed = seed + (current.value.turns[index].answers[column.id]?.draw ?? 0);
  if (column.edits.length) body.feature_edits = wireEdits(column.edits);
  return body;
}

function freeName(columns) {
  const taken = new Set(columns.map(({ name }) => name));
  return ["A", "B", "C", "D"].find((name) => !taken.has(name)) ?? "E";
}

function settle(column) {
  if (!column.pending) return;
  column.edits = column.pending;
  column.pending = null;
  dials.notify();
}

function answerTurn(index, columns, draw = 0) {
  const conversation = current.value;
  for (const column of columns) {
    const turn = conversation.turns[index];
    halt(turn.answers[column.id]);
    const answer = newAnswer(column.edits, draw);
    turn.answers[column.id] = answer;
    stream(answer, requestFor(index, column), () => keepStored(conversation));
  }
  current.notify();
  keepStored(conversation);
}

function keepStored(conversation) {
  conversation.changed = Date.now();
  if (conversation === current.value) write("current", conversation.id);
  if (!store(conversation)) problem.value = "The browser has no room left: this conversation is not kept. Delete an old one.";
  kept.notify();
}
