"""What a server serves."""

from typing import Literal

from msgspec import Struct


class Model(Struct, frozen=True, kw_only=True):
    """A model the server answers for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    bundle: str
    layer: int
    d_sae: int
    max_model_len: int


class ModelList(Struct, frozen=True, kw_only=True):
    """All models the server answers for."""

    object: Literal["list"]
    data: list[Model]


class Health(Struct, frozen=True, kw_only=True):
    """The server is up and its self-test has passed."""

    status: Literal["ok"]
    version: str
    model: str
    bundle: str
