"""JSON to a wire type, strictly: nothing is converted, ignored or guessed; null is the same as absent."""

import difflib
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from steersman_server.errors import RequestError
from steersman_server.requests.fields import OtherField
from steersman_server.requests.validation import excerpt, explain

T = TypeVar("T", bound=msgspec.Struct)
Fields = dict[str, msgspec.Raw]

OPAQUE = frozenset({"response_format", "controller", "tools"})
"""Fields in which null may have a meaning of its own."""

_decode_fields = msgspec.json.Decoder(Fields).decode


class StrictDecoder(Generic[T]):
    """Decodes bodies of one type; `others` are known fields that the type leaves out."""

    def __init__(self, kind: type[T], others: Mapping[str, OtherField]) -> None:
        self._kind = kind
        self._others = others
        self._known = frozenset(kind.__struct_encode_fields__)
        self._decode = msgspec.json.Decoder(kind).decode

    def decode(self, body: bytes) -> T:
        """A request whose every field means something.

        Raises:
            RequestError: It is not JSON, or a field is unknown, missing, ill-typed, or asks for what
                this server cannot do.
        """
        try:
            fields = self._parse(body)
            for name, raw in fields.items():
                if name not in self._known:
                    self._check_other(name, raw)
            ours = {name: _strip(name, raw) for name, raw in fields.items() if name in self._known}
        except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
            raise _not_json(error) from error
        try:
            return self._decode(msgspec.json.encode(ours))
        except msgspec.ValidationError as error:
            raise explain(error, ours, self._kind) from error
        except (msgspec.DecodeError, RecursionError) as error:
            raise _not_json(error) from error

    def _parse(self, body: bytes) -> Fields:
        try:
            fields = _decode_fields(body.decode())
        except msgspec.ValidationError as error:
            raise explain(error, {}, self._kind) from error
        given = {name: raw for name, raw in fields.items() if bytes(raw) != b"null"}
        for choice, offered in (("tool_choice", "tools"), ("function_call", "functions")):
            if bytes(given.get(choice, b"")) == b'"none"':
                given.pop(offered, None)  # which may then not be used
        return given

    def _check_other(self, name: str, raw: msgspec.Raw) -> None:
        """Refuse a field that is unknown, or holds a value that this server would have to ignore."""
        if name not in self._others:
            known = difflib.get_close_matches(name[:100], self._known | self._others.keys(), n=1)
            meant = f". Did you mean '{known[0]}'?" if known else ""
            message = f"Unrecognized request argument supplied: {excerpt(name)}{meant}"
            raise RequestError(message, param=excerpt(name), code="unknown_parameter")
        other = self._others[name]
        try:
            value = msgspec.json.decode(raw, type=other.type)
        except msgspec.ValidationError as error:
            raise explain(error, {name: raw}, self._kind, under=name) from error
        if other.values is not None and value not in other.values:
            if other.why:
                raise RequestError(f"Unsupported '{name}'. {other.why}", param=name, code=other.code)
            if not other.values:
                message = f"Unsupported parameter: '{name}'. Leave it out."
                raise RequestError(message, param=name, code="unsupported_parameter")
            allowed = " or ".join(msgspec.json.encode(choice).decode() for choice in other.values)
            sent = excerpt(bytes(raw).decode())
            message = f"Unsupported value of '{name}': {sent}. This server takes {allowed} only."
            raise RequestError(message, param=name, code=other.code)


def _strip(name: str, raw: msgspec.Raw) -> msgspec.Raw:
    """`raw` without the nulls that its objects hold."""
    if name in OPAQUE or b"null" not in bytes(raw):
        return raw
    return msgspec.Raw(msgspec.json.encode(_without_nulls(msgspec.json.decode(raw))))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value


def _not_json(error: Exception) -> RequestError:
    why = "It is nested too deeply." if isinstance(error, RecursionError) else f"{error}."
    message = f"We could not parse the JSON body of your request. {why}"
    return RequestError(message, code="invalid_json")
