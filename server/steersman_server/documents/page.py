"""A page of the OpenAPI description: plain HTML, without scripts, from no other host."""

import json
import re
from html import escape
from typing import Any

from litestar.openapi.plugins import OpenAPIRenderPlugin

from steersman_server.documents.openapi import describe

Json = dict[str, Any]

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; }
body { padding: 2rem 1rem; }
h1 { margin: 0; } h2 { margin: 3rem 0 0.5rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2rem 0 0.25rem; font-family: ui-monospace, monospace; font-size: 1rem; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--line); padding: 0.3rem 0.5rem; vertical-align: top; }
td:first-child { width: 14rem; } code, pre { font-family: ui-monospace, monospace; font-size: 0.85rem; }
pre { border: 1px solid var(--line); border-radius: 0.4rem; overflow-x: auto; padding: 0.6rem; }
.fine { opacity: 0.7; } nav a { margin-right: 1rem; } summary { cursor: pointer; }
"""


class Page(OpenAPIRenderPlugin):
    """Serves the page."""

    def render(self, request: Any, openapi_schema: Json) -> bytes:
        """The bytes of it."""
        return page(describe(openapi_schema)).encode()


def page(document: Json) -> str:
    """The whole description, for people."""
    groups: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    links = "".join(f'<a href="#{tag}">{tag}</a>' for tag in [*groups, "types"])
    parts = [f'<h2 id="{tag}">{tag}</h2>{"".join(shown)}' for tag, shown in groups.items()]
    kinds = "".join(_kind(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>steersman API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>steersman API</h1><p>{_text(document['info']['description'])}</p>"
        f'<nav>{links}<a href="/schema/openapi.json">openapi.json</a></nav>'
        f'{"".join(parts)}<h2 id="types">types</h2>{kinds}</html>'
    )


def _operation(method: str, path: str, operation: Json) -> str:
    rows = [
        (parameter["name"], parameter["schema"], parameter.get("description", ""))
        for parameter in operation.get("parameters", ())
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    shown = [f"<h3>{method.upper()} {escape(path)}</h3><p>{_text(operation.get('description', ''))}</p>"]
    if rows:
        shown.append(_table(rows))
    if body:
        shown.append(
            f"<p>Takes {_type(body['schema'])}, such as</p><pre>{escape(_json(body['example']))}</pre>"
        )
    answers = [
        _type(content["schema"])
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        for content in answer.get("content", {}).values()
    ]
    errors = ", ".join(status for status in operation["responses"] if not status.startswith("2"))
    shown.append(f'<p>Gives {" or ".join(answers)}. <span class="fine">Errors: {errors}.</span></p>')
    shown += [
        f"<details><summary>Such an answer</summary><pre>{escape(_json(content['example']))}</pre></details>"
        for status, answer in operation["responses"].items()
        for content in answer.get("content", {}).values()
        if status.startswith("2") and "example" in content
    ]
    return "".join(shown)


def _kind(name: str, schema: Json) -> str:
    rows = [
        (field, inner, inner.get("description", "")) for field, inner in schema.get("properties", {}).items()
    ]
    about = _text(schema.get("description", ""))
    return f'<h3 id="{name}">{name}</h3><p>{about}</p>{_table(rows)}'


def _table(rows: list[tuple[str, Json, str]]) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code><br>{_type(schema)}</td><td>{_text(text)}{_default(schema)}</td></tr>"
        for name, schema, text in rows
    )
    return f"<table>{cells}</table>"


def _default(schema: Json) -> str:
    if schema.get("default") in (None, [], {}):
        return ""
    return f' <span class="fine">Default: {escape(_json(schema["default"]))}.</span>'


def _type(schema: Json) -> str:
    """A schema in a few words, with links."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema or "oneOf" in schema:
        inner = [part for part in schema.get("anyOf") or schema["oneOf"] if part != {"type": "null"}]
        return " or ".join(_type(part) for part in inner)
    if "enum" in schema:
        return " or ".join(f"<code>{escape(_json(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(_json(schema['const']))}</code>"
    if "data" in schema.get("properties", ()):
        return f"events of {_type(schema['properties']['data']['contentSchema'])}"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}" if "items" in schema else "list"
    bounds = [
        f"{sign} {schema[key]:g}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return " ".join([f'<span class="fine">{schema.get("type", "anything")}</span>', *bounds])


def _text(text: str) -> str:
    """A text with its code shown as such."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _json(value: Any) -> str:
    return json.dumps(value, indent=2 if isinstance(value, dict) else None, ensure_ascii=False)
