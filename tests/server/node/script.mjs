// OpenAI's Node package against the server at argv[2]: each check is a sentence; the first that fails ends it.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const { data: [{ id: model }] } = await client.models.list();
const messages = [{ role: "user", content: "Hi" }];
const short = { model, messages, temperature: 0, max_tokens: 6 };
const { choices: [{ message: { content: expected } }] } = await client.chat.completions.create(short);

const checks = {
  "a plain answer": async () => {
    const answer = await client.chat.completions.create(short);
    assert.ok(expected.length > 0);
    assert.equal(answer.choices[0].message.content, expected);
    assert.match(answer.choices[0].finish_reason, /^(stop|length)$/);
    assert.ok(answer._request_id);
  },
  "a stream, with its usage": async () => {
    const stream = await client.chat.completions.create({ ...short, stream: true, stream_options: { include_usage: true } });
    let text = "", usage = null;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, expected);
    assert.equal(usage.completion_tokens, 6);
  },
  "the stream helper": async () => {
    const deltas = [];
    const runner = client.chat.completions.stream(short).on("content", (delta) => deltas.push(delta));
    const final = await runner.finalChatCompletion();
    assert.equal(deltas.join(""), expected);
    assert.equal(final.choices[0].message.content, expected);
  },
  "several choices with log probabilities": async () => {
    const answer = await client.chat.completions.create({ ...short, n: 2, logprobs: true, top_logprobs: 1 });
    assert.equal(answer.choices.length, 2);
    assert.equal(answer.choices[1].logprobs.content.map(({ token }) => token).join(""), expected);
  },
  "a steered answer and its receipt": async () => {
    const answer = await client.chat.completions.create({ ...short, seed: 5, feature_edits: [{ feature: 1, strength: 0.5 }] });
    assert.equal(answer.steering.edits[0].mul, 0);
    assert.ok(answer.steering.edits[0].tokens_edited > 0);
    assert.equal(answer.steering.seed, 5);
  },
  "what is ours in the raw chunks of a stream": async () => {
    const stream = await client.chat.completions.create({
      ...short, stream: true, activations: { top_k: 1 }, attribution: { tokens: [0] },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.equal(chunks.flatMap(({ activations }) => activations ?? []).length, 6);
    const [first] = chunks.find(({ attribution }) => attribution).attribution[0].tokens;
    assert.ok(expected.startsWith(first.token));
  },
  "an answer of a schema": async () => {
    const schema = { type: "object", properties: { a: { const: 1 } }, required: ["a"], additionalProperties: false };
    const answer = await client.chat.completions.create({
      model, messages, response_format: { type: "json_schema", json_schema: { name: "a", schema } }, max_tokens: 100,
    });
    assert.match(answer.choices[0].message.content, /^\{/);
  },
  "a completion": async () => {
    const answer = await client.completions.create({ model, prompt: "Once", max_tokens: 3 });
    assert.ok(answer.choices[0].text.length > 0);
    assert.equal(answer.choices[0].finish_reason, "length");
  },
  "the models": async () => {
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    assert.ok(ids.includes(model));
    assert.equal((await client.models.retrieve(model)).id, model);
  },
  "leaving a stream": async () => {
    const stream = await client.chat.completions.create({ model, messages, stream: true });
    for await (const _ of stream) break;
    assert.ok(stream.controller.signal.aborted);
  },
  "an unknown model": async () => {
    await assert.rejects(client.chat.completions.create({ model: "gpt", messages }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, "model_not_found");
      assert.ok(error.requestID);
      return true;
    });
  },
  "a misspelt field": async () => {
    await assert.rejects(client.chat.completions.create({ model, messages, feature_edit: [] }), OpenAI.BadRequestError);
  },
};

for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error.stack}`);
    process.exit(1);
  }
}
