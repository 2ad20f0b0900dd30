"""Requests for features by index, and lists of them."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, overload

from msgspec import Meta, Struct

from steersman.notebook import features_html
from steersman.summaries import summary
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

    @classmethod
    def of(cls, features: "Iterable[Feature]") -> "FeatureGroup":
        """Some features, each once, in the order of their first."""
        return cls(object="list", data=list(dict.fromkeys(features)))

    @property
    def indices(self) -> tuple[int, ...]:
        """The features' indices."""
        return tuple(feature.index for feature in self.data)

    def pick(self, *places: int) -> "FeatureGroup":
        """The features at some places of the group, from 0."""
        return FeatureGroup.of(self.data[place] for place in places)

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, feature: Any) -> bool:
        return feature in self.data

    @overload
    def __getitem__(self, key: int) -> Feature: ...

    @overload
    def __getitem__(self, key: slice) -> "FeatureGroup": ...

    def __getitem__(self, key: int | slice) -> "Feature | FeatureGroup":
        return self.data[key] if isinstance(key, int) else FeatureGroup.of(self.data[key])

    def __or__(self, other: Iterable[Feature]) -> "FeatureGroup":
        """Those of either."""
        return FeatureGroup.of((*self.data, *other))

    def __and__(self, other: Iterable[Feature]) -> "FeatureGroup":
        """Those of both."""
        both = set(other)
        return FeatureGroup.of(feature for feature in self.data if feature in both)

    def __sub__(self, other: Iterable[Feature]) -> "FeatureGroup":
        """These but not those."""
        gone = set(other)
        return FeatureGroup.of(feature for feature in self.data if feature not in gone)

    def __xor__(self, other: Iterable[Feature]) -> "FeatureGroup":
        """Those of one alone."""
        rest = FeatureGroup.of(other)
        return (self - rest) | (rest - self)

    def __repr__(self) -> str:
        return summary("FeatureGroup", f"{len(self)}", [f"{each.index} {each.label!r}" for each in self.data])

    def _repr_html_(self) -> str:
        return features_html(self.data)


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
