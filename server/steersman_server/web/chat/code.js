/** A request as code that does the same. */

const OWN = ["feature_edits"];
const SAYS = "print(answer.choices[0].message.content)";

/** For a shell; with `hasKey` it sends the key in STEERSMAN_API_KEY. */
export function asCurl(body, hasKey) {
  const json = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  const key = hasKey ? `  -H "authorization: Bearer $STEERSMAN_API_KEY" \\\n` : "";
  return `curl ${location.origin}/v1/chat/completions \\\n${key}  -H 'content-type: application/json' \\\n  -d '${json}'`;
}

/** For OpenAI's Python package. */
export function asOpenAI(body, hasKey) {
  const own = OWN.filter((name) => name in body);
  const lines = Object.keys(body).filter((name) => !own.includes(name)).map((name) => `    ${name}=${python(body[name], 1)},`);
  if (own.length) lines.push(`    extra_body=${python(Object.fromEntries(own.map((name) => [name, body[name]])), 1)},`);
  const key = hasKey ? 'os.environ["STEERSMAN_API_KEY"]' : '"none"';
  return `${hasKey ? "import os\n\n" : ""}from openai import OpenAI\n\nclient = OpenAI(base_url="${location.origin}/v1", api_key=${key})\nanswer = client.chat.completions.create(\n${lines.join("\n")}\n)\n${SAYS}`;
}

/** For this project's own, which finds the key in STEERSMAN_API_KEY by itself. */
export function asSteersman(body) {
  const lines = Object.keys(body).map((name) => `    ${name}=${python(body[name], 1)},`);
  return `from steersman import Client\n\nclient = Client("${location.origin}")\nanswer = client.chat.completions.create(\n${lines.join("\n")}\n)\n${SAYS}`;
}

function python(value, depth) {
  const inner = "    ".repeat(depth + 1);
  const end = "    ".repeat(depth);
  if (value === null) return "None";
  if (value === true || value === false) return value ? "True" : "False";
  if (Array.isArray(value)) return value.length ? `[\n${value.map((item) => `${inner}${python(item, depth + 1)},\n`).join("")}${end}]` : "[]";
  if (typeof value === "object") return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${python(item, depth + 1)}`).join(", ")}}`;
  return JSON.stringify(value);
}
