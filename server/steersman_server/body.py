"""A chat request from the bytes of its body, strictly.

Litestar's own decoding takes "1" for a number and text/plain for JSON, and tells less of what is
wrong; `ChatBody` puts this one in its place.
"""

import difflib
from typing import Any

import msgspec
from litestar.dto import MsgspecDTO
from litestar.exceptions import ClientException

from steersman.types import ChatRequest
from steersman_server.errors import RequestError
from steersman_server.fields import OTHER_FIELDS
from steersman_server.validation import excerpt, explain

Fields = dict[str, msgspec.Raw]

CHAT_FIELDS = frozenset(ChatRequest.__struct_encode_fields__)
_decode_fields = msgspec.json.Decoder(Fields).decode
_decode_request = msgspec.json.Decoder(ChatRequest).decode


class ChatBody(MsgspecDTO[ChatRequest]):
    """How Litestar reads the body of a chat request."""

    def decode_bytes(self, value: bytes) -> ChatRequest:
        """Check the media type and decode."""
        content_type = self.asgi_connection.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise ClientException(
                status_code=415,
                detail=f"Content-Type is '{excerpt(content_type)}'; send 'application/json'.",
            )
        return decode_chat_request(value)

    @classmethod
    def create_for_field_definition(
        cls, field_definition: Any, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Nothing to create: the wire type is the type."""

    @classmethod
    def create_openapi_schema(cls, field_definition: Any, handler_id: str, schema_creator: Any) -> Any:
        """Document the wire type as it is."""
        return schema_creator.for_field_definition(field_definition)


def decode_chat_request(body: bytes) -> ChatRequest:
    """A request whose every field means something here; null is the same as absent.

    Raises:
        RequestError: It is not JSON, or a field is unknown, missing, ill-typed, or asks for what
            this server cannot do.
    """
    fields = _parse(body)
    for name, raw in fields.items():
        if name not in CHAT_FIELDS:
            _check_other(name, raw)
    ours = {name: raw for name, raw in fields.items() if name in CHAT_FIELDS}
    try:
        request = _decode_request(msgspec.json.encode(ours))
    except msgspec.ValidationError as error:
        raise explain(error, ours) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_json(error) from error
    if request.stream_options is not None and not request.stream:
        message = "`stream_options` is for streams only: set `stream` or leave it out."
        raise RequestError(message, param="stream_options", code="invalid_value")
    return request


def _parse(body: bytes) -> Fields:
    try:
        fields = _decode_fields(body.decode())
    except msgspec.ValidationError as error:
        raise explain(error, {}) from error
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise _not_json(error) from error
    return {name: raw for name, raw in fields.items() if bytes(raw) != b"null"}


def _not_json(error: Exception) -> RequestError:
    why = "It is nested too deeply." if isinstance(error, RecursionError) else f"{error}."
    return RequestError(f"We could not parse the JSON body of your request. {why}")


def _check_other(name: str, raw: msgspec.Raw) -> None:
    """Refuse a field that is unknown, or holds a value that this server would have to ignore."""
    if name not in OTHER_FIELDS:
        known = difflib.get_close_matches(name[:100], CHAT_FIELDS | OTHER_FIELDS.keys(), n=1)
        meant = f". Did you mean '{known[0]}'?" if known else ""
        message = f"Unrecognized request argument supplied: {excerpt(name)}{meant}"
        raise RequestError(message, param=excerpt(name), code="unknown_parameter")
    other = OTHER_FIELDS[name]
    try:
        value = msgspec.json.decode(raw, type=other.type)
    except msgspec.ValidationError as error:
        raise explain(error, {name: raw}, under=name) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise _not_json(error) from error
    if other.values is not None and value not in other.values:
        if not other.values:
            raise RequestError(f"Unsupported parameter: '{name}'. Leave it out.", param=name, code=other.code)
        allowed = " or ".join(msgspec.json.encode(choice).decode() for choice in other.values)
        sent = excerpt(bytes(raw).decode())
        message = f"Unsupported value of '{name}': {sent}. This server takes {allowed} only."
        raise RequestError(message, param=name, code=other.code)
