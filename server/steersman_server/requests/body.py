"""How Litestar reads a body: with the strict decoder in place of its own.

Litestar's decoding takes "1" for a number and text/plain for JSON, and tells less of what is wrong.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar.dto import MsgspecDTO
from litestar.exceptions import ClientException

from steersman_server.requests.decoding import StrictDecoder
from steersman_server.requests.fields import OtherField
from steersman_server.requests.validation import excerpt

T = TypeVar("T", bound=msgspec.Struct)


def json_body(kind: type[T], others: Mapping[str, OtherField] | None = None) -> type[MsgspecDTO[T]]:
    """The `dto` of a handler whose `data` is a `kind`."""
    decoder = StrictDecoder(kind, others or {})

    class Body(MsgspecDTO[kind]):  # pyright: ignore[reportInvalidTypeForm]
        """Checks the media type and decodes."""

        def decode_bytes(self, value: bytes) -> T:
            check_media_type(self.asgi_connection.headers.get("content-type", ""))
            decoded = decoder.decode(value)
            self.asgi_connection.scope["state"]["account"].asked = decoded
            return decoded

        @classmethod
        def create_for_field_definition(
            cls, field_definition: Any, handler_id: str, backend_cls: Any = None
        ) -> None:
            """Nothing to create: the wire type is the type."""

        @classmethod
        def create_openapi_schema(cls, field_definition: Any, handler_id: str, schema_creator: Any) -> Any:
            """Document the wire type as it is."""
            return schema_creator.for_field_definition(field_definition)

    return Body


def check_media_type(content_type: str) -> None:
    """Raise 415 unless it is JSON: a page elsewhere could send text/plain without asking first."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ClientException(
            status_code=415, detail=f"Content-Type is '{excerpt(content_type)}'; send 'application/json'."
        )
