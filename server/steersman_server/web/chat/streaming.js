/** Answers under way: what the server sends becomes tokens, and what fired is counted. */

import { ApiError, streamChat } from "../lib/api.js";
import { Signal } from "../lib/store.js";

/** Whether any answer is under way. */
export const busy = new Signal(false);

const WATCHED = 8; // features of each token that count towards the strongest of an answer
let mayLookInside = true; // a key may be for chatting only
const running = new Map(); // answer -> { controller, changed: Signal }

/** Told of each token of an answer under way; null for an answer that is done. */
export const growth = (answer) => running.get(answer)?.changed ?? null;

/** Stop an answer, if it is under way; what was said stays. */
export const halt = (answer) => running.get(answer)?.controller.abort();

/** Stop every answer under way. */
export function stop() {
  for (const { controller } of running.values()) controller.abort();
}

/** Fill an answer as the server gives it; `ended` is called when there is no more, whatever the reason. */
export async function stream(answer, body, ended) {
  const work = { controller: new AbortController(), changed: new Signal(answer) };
  running.set(answer, work);
  busy.value = true;
  const decoder = new TextDecoder();
  try {
    for await (const chunk of chunksOf({ ...body, logprobs: true }, work.controller.signal)) {
      for (const choice of chunk.choices) take(answer, choice, decoder);
      for (const { tokens } of chunk.activations ?? []) tokens.forEach(({ features }) => tally(answer, features));
      if (chunk.steering) answer.steering = chunk.steering;
      if (chunk.moderation) answer.moderation = chunk.moderation;
      work.changed.notify();
    }
    answer.state = "done";
  } catch (error) {
    answer.state = error.name === "AbortError" ? "stopped" : "failed";
    if (answer.state === "failed") answer.error = error instanceof ApiError ? error.message : `${error}`;
  } finally {
    running.delete(answer);
    work.changed.notify();
    ended();
    busy.value = running.size > 0;
  }
}

/** The chunks of an answer, with what fires where the key allows to see it. */
async function* chunksOf(body, signal) {
  try {
    yield* streamChat(mayLookInside ? { ...body, activations: { top_k: WATCHED } } : body, signal);
  } catch (error) {
    if (!mayLookInside || error.code !== "key_not_allowed" || error.param !== "activations") throw error;
    mayLookInside = false;
    yield* streamChat(body, signal);
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
  const calls = (choice.delta.tool_calls ?? []).map((call) => (call.function.name ?? "") + call.function.arguments);
  const said = (choice.delta.content ?? "") + calls.join("");
  if (!tokens.length && said) answer.tokens.push({ text: said, logprob: null });
  if (choice.finish_reason) answer.finish = choice.finish_reason;
}
