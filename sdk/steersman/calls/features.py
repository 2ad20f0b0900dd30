"""Calls about features: found, read, related, and measured on conversations."""

from collections.abc import Iterable, Sequence
from typing import Literal, TypedDict, Unpack

from steersman.calls.call import Call, FeatureLike, index_of, indices_of, post
from steersman.types import (
    Aggregate,
    AttributeRequest,
    AttributionResult,
    Contrast,
    ContrastRequest,
    EditLike,
    Feature,
    FeatureDashboard,
    FeatureGroup,
    FeatureLookup,
    FeatureMap,
    FeaturePage,
    Inspection,
    InspectRequest,
    LogitsRequest,
    Messages,
    Method,
    NeighborsRequest,
    NextTokens,
    Pooling,
    RerankRequest,
    Role,
    SearchMode,
    Sign,
    Space,
    Target,
    Variant,
)

MAX_PAGE = 100
Sort = Literal["index", "density", "-density", "h_max", "-h_max", "rating", "-rating"]


class FeatureFilters(TypedDict, total=False):
    """Which features to leave out of a search or a list."""

    min_rating: float | None
    """Keep labels that stood their tests at least so well, 0 to 1."""
    min_density: float | None
    max_density: float | None
    """Bounds on the share of tokens on which it fires."""
    trusted: bool | None
    """Keep labels that are above chance."""
    kind: str | None
    """Keep labels about this: token, context, topic, syntax, position, output, mixed, unclear or none."""
    flag: str | None
    without_flag: str | None
    """Keep features with, or without, a flag such as `always_on`."""
    hidden: bool | None
    """Keep those that moderation hides, too."""


def search_features(
    query: str,
    *,
    mode: SearchMode | None = None,
    limit: int = 20,
    after: str | None = None,
    **filters: Unpack[FeatureFilters],
) -> Call[FeaturePage]:
    """Features whose label fits `query`, best first, in pages of `limit` (1 to 100).

    `mode` is `semantic`, `keyword` or `hybrid`; the best that the server's catalogue can, if left out.
    `filters` are the fields of `FeatureFilters`. Iterating over the answer goes on to the pages after it.
    """
    if not query.strip():
        raise ValueError("The search is empty: give it words, or list the features instead.")
    return _page(filters, limit, query=query, mode=mode, after=after)


def list_features(
    *,
    sort: Sort | None = None,
    limit: int = 100,
    after: str | None = None,
    **filters: Unpack[FeatureFilters],
) -> Call[FeaturePage]:
    """All features, in pages of `limit` (1 to 100).

    `sort`: `index` (as without it), `density`, `h_max` or `rating`, with a minus for the largest first.
    `filters` are the fields of `FeatureFilters`. Iterating over the answer goes on to the pages after it.
    """
    return _page(filters, limit, sort=sort, after=after)


def get_feature(feature: FeatureLike) -> Call[Feature]:
    """One feature, with its examples.

    Raises:
        NotFoundError: There is no such feature.
    """
    return Call("GET", f"/v1/features/{index_of(feature)}", Feature)


def dashboard(feature: FeatureLike) -> Call[FeatureDashboard]:
    """All that is known of a feature: statistics, examples, effects, labels and their tests, relations."""
    return Call("GET", f"/v1/features/{index_of(feature)}/dashboard", FeatureDashboard)


def lookup(features: Iterable[FeatureLike]) -> Call[FeatureGroup]:
    """Several features by index, in the order given."""
    return post("/v1/features/lookup", FeatureLookup, {"features": indices_of(features)}, FeatureGroup)


def neighbors(
    features: FeatureLike | Iterable[FeatureLike], *, space: Space = "decoder", top_k: int = 10
) -> Call[FeatureGroup]:
    """The features nearest to one, or to the middle of several; `score` is their similarity."""
    fields = {"features": indices_of(features), "space": space, "top_k": top_k}
    return post("/v1/features/neighbors", NeighborsRequest, fields, FeatureGroup)


def echoes(feature: FeatureLike) -> Call[FeatureGroup]:
    """The features that say the same as one: to suppress what it stands for, edit all of them."""
    return Call("GET", f"/v1/features/{index_of(feature)}/echoes", FeatureGroup)


def rerank(
    features: Iterable[FeatureLike], query: str, *, mode: SearchMode | None = None, top_k: int = 20
) -> Call[FeatureGroup]:
    """Some features by how well their labels fit `query`, best first."""
    fields = {"features": indices_of(features), "query": query, "mode": mode, "top_k": top_k}
    return post("/v1/features/rerank", RerankRequest, fields, FeatureGroup)


def feature_map() -> Call[FeatureMap]:
    """Where each feature lies in a picture of all."""
    return Call("GET", "/v1/features/map", FeatureMap)


def inspect(
    messages: Messages,
    *,
    model: str | Variant | None = None,
    feature_edits: Iterable[EditLike] = (),
    features: Iterable[FeatureLike] | None = None,
    top_k: int = 20,
    top_k_per_token: int = 10,
    sort_by: Pooling = "max",
    skip_template: bool = False,
    add_generation_prompt: bool = False,
) -> Call[Inspection]:
    """Which features fire on a conversation, token by token and over all of it, under edits if given."""
    fields = {
        "messages": list(messages),
        "model": model,
        "feature_edits": list(feature_edits),
        "features": None if features is None else indices_of(features),
        "top_k": top_k,
        "top_k_per_token": top_k_per_token,
        "sort_by": sort_by,
        "skip_template": skip_template,
        "add_generation_prompt": add_generation_prompt,
    }
    return post("/v1/features/inspect", InspectRequest, fields, Inspection)


def attribute(
    messages: Messages,
    *,
    model: str | Variant | None = None,
    feature_edits: Iterable[EditLike] = (),
    tokens: Literal["all"] | Sequence[int] = "all",
    top_k: int = 10,
    target: Target = "logit_minus_mean",
    method: Method = "gradient",
    aggregate: Aggregate = "sum",
    sign: Sign = "both",
    positions: Literal["all", "prompt", "generation"] = "all",
) -> Call[AttributionResult]:
    """Why the last message, if it is the assistant's; else why `target.given` would come next."""
    fields = {
        "messages": list(messages),
        "model": model,
        "feature_edits": list(feature_edits),
        "tokens": tokens,
        "top_k": top_k,
        "target": target,
        "method": method,
        "aggregate": aggregate,
        "sign": sign,
        "positions": positions,
    }
    return post("/v1/features/attribute", AttributeRequest, fields, AttributionResult)


def contrast(
    positive: Iterable[Messages],
    negative: Iterable[Messages],
    *,
    model: str | Variant | None = None,
    positive_edits: Iterable[EditLike] = (),
    negative_edits: Iterable[EditLike] = (),
    roles: Sequence[Role] | None = None,
    pooling: Literal["max", "mean"] = "mean",
    top_k: int = 20,
) -> Call[Contrast]:
    """Which features tell two sets of conversations apart; the sets may differ in size."""
    fields = {
        "positive": [list(messages) for messages in positive],
        "negative": [list(messages) for messages in negative],
        "model": model,
        "positive_edits": list(positive_edits),
        "negative_edits": list(negative_edits),
        "roles": roles,
        "pooling": pooling,
        "top_k": top_k,
    }
    return post("/v1/features/contrast", ContrastRequest, fields, Contrast)


def next_tokens(
    messages: Messages,
    *,
    model: str | Variant | None = None,
    feature_edits: Iterable[EditLike] = (),
    top_k: int = 20,
    tokens: Sequence[str] | None = None,
    sort_by: Literal["logprob", "difference"] = "logprob",
) -> Call[NextTokens]:
    """What would come next: the distribution under edits, and its difference to the plain one."""
    fields = {
        "messages": list(messages),
        "model": model,
        "feature_edits": list(feature_edits),
        "top_k": top_k,
        "tokens": tokens,
        "sort_by": sort_by,
    }
    return post("/v1/logits", LogitsRequest, fields, NextTokens)


def _page(filters: FeatureFilters, limit: int, **parameters: str | None) -> Call[FeaturePage]:
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit={limit}: a page holds 1 to {MAX_PAGE} features.")
    unknown = sorted(filters.keys() - FeatureFilters.__annotations__.keys())
    if unknown:
        raise ValueError(
            f"There is no filter {unknown[0]!r}; there are {', '.join(FeatureFilters.__annotations__)}."
        )
    return Call("GET", "/v1/features", FeaturePage).with_query(**parameters, **filters, limit=limit)
