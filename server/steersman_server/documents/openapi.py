"""The OpenAPI description: Litestar's paths over msgspec's schemas.

Litestar's own schemas lose bounds, closed objects and field descriptions; msgspec's are what the decoder
enforces.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.openapi.plugins import JsonRenderPlugin

from steersman import types
from steersman_server.documents.descriptions import field_descriptions
from steersman_server.documents.examples import EXAMPLES
from steersman_server.error_codes import CODES
from steersman_server.requests.decoding import OPAQUE
from steersman_server.requests.fields import CHAT_FIELDS, COMPLETION_FIELDS, OtherField

DESCRIPTION = """\
An OpenAI-compatible chat server whose model can be seen and steered through the features of a sparse
autoencoder. The paths of chat, completions and models also work without `/v1`, and those of tokens with it.
A field that is null counts as left out. Every answer carries `x-request-id` and `openai-processing-ms`.
"""
STREAMED = {"ChatRequest": "ChatCompletionChunk", "CompletionRequest": "Completion"}
OTHER_FIELDS: dict[str, Mapping[str, OtherField]] = {
    "ChatRequest": CHAT_FIELDS,
    "CompletionRequest": COMPLETION_FIELDS,
}
ALIASES = ("/chat/completions", "/completions", "/models", "/models/{model}")
ALIASES += ("/v1/tokenize", "/v1/detokenize", "/v1/tokenizer_info")
EVENTS = "With `stream`: one of the server-sent events. The last has the data `[DONE]`."
REF = "#/components/schemas/{name}"

Json = dict[str, Any]


class Document(JsonRenderPlugin):
    """Serves the description as JSON."""

    def render(self, request: Any, openapi_schema: Json) -> bytes:
        """The bytes of it."""
        return msgspec.json.encode(describe(openapi_schema))


def describe(litestar: Json) -> Json:
    """The whole description, from Litestar's."""
    schemas = _schemas()
    for name in STREAMED:
        _add_other_fields(schemas[name], OTHER_FIELDS[name])
    schemas["ErrorObject"]["properties"]["code"] = {
        "enum": [*CODES, None],
        "description": "What went wrong; the same in every version.",
    }
    paths = {path: item for path, item in litestar["paths"].items() if path not in ALIASES}
    for item in paths.values():
        for method, operation in item.items():
            if method in ("get", "post", "put", "delete"):
                _complete(operation)
    return litestar | {
        "info": litestar["info"] | {"description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"key": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in sorted(_used(paths, schemas))},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _schemas() -> dict[str, Json]:
    """All wire types, by name."""
    kinds: list[type[msgspec.Struct]] = [
        kind
        for name in types.__all__
        if isinstance(kind := getattr(types, name), type) and issubclass(kind, msgspec.Struct)
    ]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REF)
    for kind in kinds:
        schema = schemas[kind.__name__]
        for name, text in field_descriptions(kind).items():
            schema["properties"][name] = schema["properties"][name] | {"description": text}
        if kind.__struct_config__.forbid_unknown_fields:
            _allow_nulls(schema)
    return schemas


def _allow_nulls(schema: Json) -> None:
    """Null is the same as absent in whatever may be absent."""
    for name, field in schema["properties"].items():
        if name in OPAQUE or name in schema.get("required", ()) or "default" not in field:
            continue
        about = {key: field.pop(key) for key in ("description", "default") if key in field}
        if {"type": "null"} not in field.get("anyOf", ()):
            schema["properties"][name] = {"anyOf": [dict(field), {"type": "null"}]}
        schema["properties"][name] |= about


def _add_other_fields(schema: Json, others: Mapping[str, OtherField]) -> None:
    """The fields that are accepted and change nothing."""
    for name, other in others.items():
        if name in schema["properties"]:
            continue
        if other.values is None:
            accepted = [msgspec.json.schema(other.type), {"type": "null"}]
            field: Json = {"anyOf": accepted}
        else:
            field = {"enum": [*other.values, None]}
        field["description"] = "Accepted; it changes nothing."
        schema["properties"][name] = field


def _complete(operation: Json) -> None:
    """Examples, streams, and no parameter that is not there."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        operation["requestBody"]["required"] = True
        name = body["schema"]["$ref"].rpartition("/")[2]
        body["example"] = EXAMPLES[name]
        if name in STREAMED:
            chunk = {"$ref": REF.format(name=STREAMED[name])}
            data = {"type": "string", "contentMediaType": "application/json", "contentSchema": chunk}
            operation["responses"]["200"]["content"]["text/event-stream"] = {
                "schema": {
                    "type": "object",
                    "description": EVENTS,
                    "properties": {"data": data},
                    "required": ["data"],
                }
            }


def _used(node: Any, schemas: Mapping[str, Json]) -> set[str]:
    """The schemas that something refers to, and those that they refer to."""
    found: set[str] = set()
    pending = [node]
    while pending:
        at = pending.pop()
        if isinstance(at, dict):
            reference = at.get("$ref")
            if isinstance(reference, str) and (name := reference.rpartition("/")[2]) not in found:
                found.add(name)
                pending.append(schemas[name])
            pending += at.values()
        elif isinstance(at, list):
            pending += at
    return found
