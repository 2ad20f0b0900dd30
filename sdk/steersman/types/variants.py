"""Named sets of edits, which are used as models."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from steersman.types.steering import Aborts, Edits

VariantName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]


class VariantRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a variant is made of. `POST /v1/variants` and `PUT /v1/variants/{name}`."""

    name: VariantName | None = None
    """Needed to create one."""
    description: Annotated[str, Meta(max_length=2000)] = ""
    feature_edits: Edits = ()
    abort_when: Aborts = ()
    controller: dict[str, Any] | None = None
    """Goodfire's controller or Variant JSON, in place of `feature_edits` and `abort_when`."""


class Variant(Struct, frozen=True, kw_only=True):
    """A named set of edits."""

    object: Literal["variant"]
    id: str
    """What a request gives as its model: `base:name`."""
    name: VariantName
    base: str
    """The model it is made for."""
    bundle: str
    """The bundle whose features it names."""
    description: str
    feature_edits: Edits
    abort_when: Aborts
    created: int
    updated: int
    """Unix times, in seconds."""


class VariantList(Struct, frozen=True, kw_only=True):
    """All variants, by name; what `POST /v1/variants/import` takes back."""

    object: Literal["list"]
    data: list[Variant]

    def __iter__(self) -> Iterator[Variant]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class VariantImport(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Variants as `GET /v1/variants` gave them, here or elsewhere."""

    data: Annotated[tuple[Variant, ...], Meta(max_length=1000)]
    object: Literal["list"] = "list"
    overwrite: bool = False
    """Replace variants of the same name, which are refused otherwise."""


class Deleted(Struct, frozen=True, kw_only=True):
    """What was deleted."""

    id: str
    object: Literal["variant"]
    deleted: bool
