/** What a person does in the chat, and what follows: the conversation on screen, and its answers under way. */

import { ApiError, streamChat } from "../lib/api.js";
import { read, Signal, StoredSignal, write } from "../lib/store.js";
import {
  discard, messagesBefore, newAnswer, newColumn, newConversation, sameEdits, shownEdits, store, storedConversations, wireEdits,
} from "./conversation.js";

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
/** A problem to say: text, or null. */
export const problem = new Signal(null);

const WATCHED = 8; // features of each token that count towards the strongest of an answer
const running = new Map(); // answer -> { controller, changed: Signal }

/** The column whose dials are shown. */
export const chosenColumn = () => current.value.columns[Math.min(chosen.value, current.value.columns.length - 1)];

/** Told of each token of an answer under way; null for an answer that is done. */
export const growth = (answer) => running.get(answer)?.changed ?? null;

/** Whether any answer is under way. */
export const isBusy = () => running.size > 0;

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

/** Begin another conversation, under the same columns and edits if `keep`. */
export function begin(keep = false) {
  const fresh = newConversation();
  if (keep) fresh.columns = current.value.columns.map(({ name, edits }) => newColumn(name, edits));
  open(fresh);
}

/** Take a conversation out of the browser; the one on screen gives way to a new one. */
export function remove(conversation) {
  discard(conversation);
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

/** Draw an answer again, with another seed if one is set. */
export function again(index, column) {
  current.value.turns.length = index + 1;
  settle(column);
  answerTurn(index, [column]);
}

/** Make the pending edits of a column its edits, and answer the last question under them. */
export function apply(column) {
  settle(column);
  const last = current.value.turns.length - 1;
  if (last >= 0) answerTurn(last, [column]);
  else keepStored();
}

/** Forget the pending edits of a column. */
export function revert(column) {
  column.pending = null;
  dials.notify();
}

/** Show `edits` on the dials of a column; they are not applied yet. */
export function propose(column, edits) {
  column.pending = sameEdits(edits, column.edits) && edits.length === column.edits.length ? null : edits;
  dials.notify();
}

/** Put a feature on the dials of the chosen column, or set it anew there. */
export function dial({ index, label, h_max }, strength = 0.4) {
  const column = chosenColumn();
  const rest = shownEdits(column).filter((edit) => edit.feature !== index);
  propose(column, [...rest, { feature: index, label, h_max, strength, mode: "set" }]);
}

/** Add a column; its earlier answers are those of the first one, the last is drawn under `edits`. */
export function addColumn(name, edits) {
  const { columns, turns } = current.value;
  const column = newColumn(name, edits);
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
    running.get(turn.answers[column.id])?.controller.abort();
    delete turn.answers[column.id];
  }
  chosen.value = Math.min(chosen.value, columns.length - 1);
  current.notify();
  dials.notify();
  keepStored();
}

/** Stop every answer under way; what was said stays. */
export function stop() {
  for (const { controller } of running.values()) controller.abort();
}

/** The features that fired strongest over an answer, strongest first. */
export const strongest = (answer) => Object.values(answer.fired ?? {}).sort((one, other) => other.total - one.total);

/** The body of the request for a column's answer to turn `index`. */
export function requestFor(index, column, edits = column.edits) {
  const { system, temperature, top_p, max_tokens, seed } = settings.value;
  const body = {
    model: model.value.id,
    messages: messagesBefore(current.value, column, index, system),
    temperature, top_p, max_tokens,
  };
  if (seed !== null) body.seed = seed;
  if (wireEdits(edits).length) body.feature_edits = wireEdits(edits);
  return body;
}

function settle(column) {
  if (!column.pending) return;
  column.edits = column.pending;
  column.pending = null;
  dials.notify();
}

function answerTurn(index, columns) {
  for (const column of columns) {
    const turn = current.value.turns[index];
    running.get(turn.answers[column.id])?.controller.abort();
    const answer = newAnswer(column.edits);
    turn.answers[column.id] = answer;
    stream(answer, requestFor(index, column));
  }
  current.notify();
}

async function stream(answer, body) {
  const work = { controller: new AbortController(), changed: new Signal(answer) };
  running.set(answer, work);
  const decoder = new TextDecoder();
  try {
    for await (const chunk of streamChat({ ...body, logprobs: true, activations: { top_k: WATCHED } }, work.controller.signal)) {
      for (const choice of chunk.choices) take(answer, choice, decoder);
      for (const { tokens } of chunk.activations ?? []) tokens.forEach(({ features }) => tally(answer, features));
      if (chunk.steering) answer.steering = chunk.steering;
      work.changed.notify();
    }
    answer.state = "done";
  } catch (error) {
    answer.state = error.name === "AbortError" ? "stopped" : "failed";
    if (answer.state === "failed") answer.error = error instanceof ApiError ? error.message : `${error}`;
  } finally {
    running.delete(answer);
    work.changed.notify();
    keepStored();
    if (!isBusy()) current.notify();
  }
}

/** Count what fired, in parts of h_max, so that the strongest features of an answer are known. */
function tally(answer, features) {
  for (const { feature, label, activation, h_max } of features) {
    const fired = (answer.fired[feature] ??= { index: feature, label, h_max, total: 0 });
    fired.total += h_max ? activation / h_max : 0;
  }
}

function take(answer, choice, decoder) {
  answer.state = "streaming";
  const tokens = choice.logprobs?.content ?? [];
  for (const { bytes, token, logprob } of tokens) {
    const text = bytes ? decoder.decode(Uint8Array.from(bytes), { stream: true }) : token;
    answer.tokens.push({ text, logprob });
  }
  if (!tokens.length && choice.delta.content) answer.tokens.push({ text: choice.delta.content, logprob: null });
  if (choice.finish_reason) answer.finish = choice.finish_reason;
}

function keepStored() {
  write("current", current.value.id);
  current.value.changed = Date.now();
  if (!store(current.value)) problem.value = "The browser has no room left: this conversation is not kept. Delete an old one.";
}
