"""The OpenAPI description: Litestar's paths over msgspec's schemas.

Litestar's own schemas lose bounds, closed objects and field descriptions; msgspec's are what the decoder
enforces.
"""

import copy
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.openapi.plugins import JsonRenderPlugin

from steersman import types
from steersman_server.documents.descriptions import field_descriptions
from steersman_server.documents.examples import ANSWERS, EXAMPLES
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
HEADERS: dict[str, dict[str, Any]] = {
    "x-request-id": {"description": "Names the request in the server's log.", "schema": {"type": "string"}},
    "openai-processing-ms": {
        "description": "Milliseconds from the request to the start of its answer.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "retry-after": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "www-authenticate": {"description": "How to send a key.", "schema": {"type": "string"}},
}
TAGS = {
    "chat": "Answers, steered.",
    "models": "What is served.",
    "features": "What can be seen and steered.",
    "variants": "Named sets of edits.",
    "tokens": "What the model reads.",
    "server": "For those who run it.",
}
"""In the order in which they are shown."""
PARAMETERS = {
    "index": "Index of a feature in the SAE.",
    "name": "Name of a variant.",
    "model": "A model, or a variant as `model:variant`; it may hold slashes.",
    "limit": "At most so many.",
    "min_density": "Only features that fire on at least this share of tokens.",
    "max_density": "Only features that fire on at most this share of tokens.",
}
"""What those mean that say nothing of themselves."""
ALWAYS = ("x-request-id", "openai-processing-ms")
ALSO = {"401": ("www-authenticate",), "429": ("retry-after",), "503": ("retry-after",)}
"""Headers of some statuses, beside those of every answer."""

Json = dict[str, Any]


class Document(JsonRenderPlugin):
    """Serves the description as JSON."""

    def render(self, request: Any, openapi_schema: Json) -> bytes:
        """The bytes of it."""
        return msgspec.json.encode(describe(openapi_schema))


def describe(litestar: Json) -> Json:
    """The whole description, from Litestar's, which is kept as it is."""
    litestar = copy.deepcopy(litestar)
    schemas = _schemas()
    for name in STREAMED:
        _add_other_fields(schemas[name], OTHER_FIELDS[name])
    schemas["ErrorObject"]["properties"]["code"] = {
        "enum": [*CODES, None],
        "description": "What went wrong; the same in every version.",
    }
    paths = dict(sorted(((p, i) for p, i in litestar["paths"].items() if p not in ALIASES), key=_place))
    taken: set[str] = set()
    for path, item in paths.items():
        for method, operation in item.items():
            if method in ("get", "post", "put", "delete"):
                _name(operation, path, taken)
                _complete(operation)
                _complete_answers(operation["responses"], f"{method.upper()} {path}")
    return litestar | {
        "info": litestar["info"] | {"description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": [{"bearer": []}, {"key": []}, {}],
        "paths": paths,
        "components": {
            "headers": HEADERS,
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


def _place(path_item: tuple[str, Json]) -> tuple[int, str]:
    """Where a path stands: Litestar gives them in any order."""
    path, item = path_item
    return [*TAGS].index(next(iter(item.values()))["tags"][0]), path


def _name(operation: Json, path: str, taken: set[str]) -> None:
    """A short id, of which the handler's name is the source, and a summary that says something."""
    handler = operation["summary"]
    short = handler[0].lower() + handler[1:]
    operation["operationId"] = path.rpartition("/")[2] if short in taken else short
    taken.add(operation["operationId"])
    operation["summary"] = operation["description"].partition(". ")[0].removesuffix(".")
    for parameter in operation.get("parameters", ()):
        if not parameter.get("description"):
            parameter["description"] = PARAMETERS[parameter["name"]]


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


def _complete_answers(responses: Json, operation: str) -> None:
    """Headers, an example, and which errors a status stands for."""
    for status, answer in responses.items():
        named = (*ALWAYS, *ALSO.get(status, ()))
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in named}
        content = answer.get("content", {}).get("application/json")
        if content is None:
            continue
        if status.startswith("2"):
            content["example"] = ANSWERS.get(operation, {})
            continue
        codes = {name: code for name, code in CODES.items() if str(code.status) == status}
        answer["description"] = " ".join(f"`{name}`: {code.when}" for name, code in codes.items())
        name, code = next(iter(codes.items()))
        error = {"message": code.when, "type": code.type, "param": None, "code": name}
        content["example"] = {"error": error}


def _used(node: Any, schemas: Mapping[str, Json]) -> set[str]:
    """The schemas that something refers to, and those that they refer to."""
    found: set[str] = set()
    pending = [node]
    while pending:
        at = pending.pop()
        if isinstance(at, dict):
            reference = at.get("$ref")
            if (
                isinstance(reference, str)
                and (name := reference.rpartition("/")[2]) not in found | HEADERS.keys()
            ):
                found.add(name)
                pending.append(schemas[name])
            pending += at.values()
        elif isinstance(at, list):
            pending += at
    return found
