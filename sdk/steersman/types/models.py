"""What a server serves."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct


class Model(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model the server answers for, or a variant of it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    bundle: str
    layer: int
    d_sae: int
    max_model_len: int
    root: str | None = None
    """The model itself."""
    parent: str | None = None
    """The model that this is a variant of."""


class ModelList(Struct, frozen=True, kw_only=True):
    """All models the server answers for, and their variants."""

    object: Literal["list"]
    data: list[Model]

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class Health(Struct, frozen=True, kw_only=True):
    """The server is up and its self-test has passed."""

    status: Literal["ok"]
    version: str
    model: str
    bundle: str
