"""Requests for features by index, and lists of them."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from steersman.types.conditions import FeatureIndex
from steersman.types.features import Feature

SearchMode = Literal["semantic", "keyword", "hybrid"]
Space = Literal["decoder", "label", "coactivation"]
Indices = Annotated[tuple[FeatureIndex, ...], Meta(min_length=1, max_length=8192)]


class FeatureLookup(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`POST /v1/features/lookup`: several features at once."""

    features: Indices


class RerankRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/features/rerank`: order some features by how well they fit words."""

    features: Indices
    query: Annotated[str, Meta(min_length=1, max_length=1000)]
    mode: SearchMode | None = None
    """Left out: by meaning and words where the catalogue can, else by words."""
    top_k: Annotated[int, Meta(ge=1, le=8192)] = 20


class NeighborsRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/features/neighbors`: features near the middle of several."""

    features: Annotated[tuple[FeatureIndex, ...], Meta(min_length=1, max_length=2048)]
    space: Space = "decoder"
    """What is compared: directions in the model, labels, or the tokens they fire on."""
    top_k: Annotated[int, Meta(ge=1, le=100)] = 10


class FeatureGroup(Struct, frozen=True, kw_only=True):
    """Some features; `score` says how near or fitting each is, where the request was about that."""

    object: Literal["list"]
    data: list[Feature]


class MapPoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A feature's place in the picture of all."""

    index: int
    label: str
    x: float
    y: float
    """Both -1 to 1."""
    rating: float | None = None


class FeatureMap(Struct, frozen=True, kw_only=True):
    """A picture of all features in which those that point alike are close."""

    object: Literal["map"]
    data: list[MapPoint]
