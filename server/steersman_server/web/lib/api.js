/** The server's API. Everything here speaks the wire; nothing here knows the page. */

import { events } from "./sse.js";
import { Signal, StoredSignal } from "./store.js";

/** The API key, if the server wants one. */
export const key = new StoredSignal("key", "");
/** Whether the last call reached the server: `up`, `down` or `locked` (it wants a key). */
export const reach = new Signal("up");

/** An answer that is not 2xx, or none at all; `message` is for people. */
export class ApiError extends Error {
  constructor(message, { status = 0, code = null, param = null } = {}) {
    super(message);
    Object.assign(this, { status, code, param });
  }
}

/** `GET` a path below `/v1`; null and empty parameters are left out. */
export async function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.append(name, value);
  }
  return (await call(query.size ? `${path}?${query}` : path, { signal })).json();
}

/** Send JSON to a path below `/v1`. */
export async function send(method, path, body, signal = undefined) {
  const response = await call(path, {
    method,
    signal,
    headers: { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return response.status === 204 ? null : response.json();
}

/** `POST` a chat completion and yield its chunks as they come. */
export async function* streamChat(body, signal) {
  const response = await call("/chat/completions", {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
  });
  for await (const data of events(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(chunk.error.message, chunk.error);
    yield chunk;
  }
  throw new ApiError("The answer broke off: the connection to the server was lost.");
}

async function call(path, options) {
  const headers = { ...options.headers };
  if (key.value) headers.authorization = `Bearer ${key.value}`;
  let response;
  try {
    response = await fetch(`/v1${path}`, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    reached("down");
    throw new ApiError("The server does not answer. Is it still running?");
  }
  reached(response.status === 401 ? "locked" : "up");
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  const said = body?.error;
  const wait = Number(response.headers.get("retry-after"));
  const message = said?.message ?? `The server answered ${response.status}.`;
  throw new ApiError(wait ? `${message} (Retry in ${wait} s.)` : message, { status: response.status, ...said });
}

function reached(state) {
  if (state !== reach.value) reach.value = state;
}
