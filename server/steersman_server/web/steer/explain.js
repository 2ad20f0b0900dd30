/** Questions to the server about an answer: why a token, and what fires where. */

import { send } from "../lib/api.js";
import { messagesBefore, textOf, wireEdits } from "../chat/conversation.js";
import { current, model, settings } from "../chat/session.js";

const TOP = 12;
const cache = new WeakMap(); // answer -> Map of question -> promise

/** The features behind a picked token: `{ token, objective, features }`. */
export function explain(pick, method, signal) {
  return once(pick.answer, `why ${pick.token} ${method}`, async () => {
    const { attribution } = await send("POST", "/features/attribute", { ...about(pick), tokens: [pick.token], method, top_k: TOP }, signal);
    return attribution.tokens[0];
  });
}

/**
 * Where each of some features fires: a map from feature to `{ said, asked }`, its activation at each token of
 * the answer, and `{ token, activation }` for the tokens of the question before it.
 */
export function firings(place, features, signal) {
  return once(place.answer, `fire ${features}`, async () => {
    const wanted = { features, top_k: 1, top_k_per_token: features.length };
    const { tokens } = await send("POST", "/features/inspect", { ...about(place), ...wanted }, signal);
    const answer = lastMessage(tokens);
    const question = lastMessage(tokens.slice(0, tokens.indexOf(answer[0])));
    const at = (token, feature) => token.features.find((each) => each.feature === feature)?.activation ?? 0;
    const of = (feature) => ({
      said: answer.map((token) => at(token, feature)),
      asked: question.map((token) => ({ token: token.token, activation: at(token, feature) })),
    });
    return new Map(features.map((feature) => [feature, of(feature)]));
  });
}

/** The content tokens of the last message: those before the template's last words. */
function lastMessage(tokens) {
  const end = tokens.findLastIndex(({ kind }) => kind === "content") + 1;
  const start = 1 + tokens.slice(0, end).findLastIndex(({ kind }) => kind !== "content");
  return tokens.slice(start, end);
}

function about({ answer, column, index }) {
  const messages = messagesBefore(current.value, column, index, settings.value.system);
  const body = { model: model.value.id, messages: [...messages, { role: "assistant", content: textOf(answer) }] };
  const edits = wireEdits(answer.edits);
  return edits.length ? { ...body, feature_edits: edits } : body;
}

function once(answer, question, ask) {
  if (!cache.has(answer)) cache.set(answer, new Map());
  const known = cache.get(answer);
  if (!known.has(question)) {
    known.set(question, ask().catch((error) => (known.delete(question), Promise.reject(error))));
  }
  return known.get(question);
}
