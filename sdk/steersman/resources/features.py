"""`client.features`: what can be seen and steered."""

from steersman import calls
from steersman.calls import Call
from steersman.pages import AsyncFeatureList, FeatureList
from steersman.resources.method import AsyncResource, Resource, awaited, sent
from steersman.types import FeaturePage, SearchMode


class Features(Resource):
    """Find features, read them, relate them, and measure them on conversations."""

    get = sent(calls.get_feature)
    dashboard = sent(calls.dashboard)
    lookup = sent(calls.lookup)
    neighbors = sent(calls.neighbors)
    echoes = sent(calls.echoes)
    rerank = sent(calls.rerank)
    map = sent(calls.feature_map)
    inspect = sent(calls.inspect)
    attribute = sent(calls.attribute)
    contrast = sent(calls.contrast)

    def search(
        self,
        query: str,
        *,
        mode: SearchMode | None = None,
        min_rating: float | None = None,
        min_density: float | None = None,
        max_density: float | None = None,
        trusted: bool | None = None,
        limit: int = 20,
        after: str | None = None,
    ) -> FeatureList:
        """Features whose label fits `query`, best first, in pages of `limit` (1 to 100).

        `mode` is `semantic`, `keyword` or `hybrid`; the best that the server's catalogue can, if left out.
        """
        return self._page(
            calls.list_features(
                _words(query),
                mode=mode,
                min_rating=min_rating,
                min_density=min_density,
                max_density=max_density,
                trusted=trusted,
                limit=limit,
                after=after,
            )
        )

    def list(
        self,
        *,
        sort: str | None = None,
        min_rating: float | None = None,
        min_density: float | None = None,
        max_density: float | None = None,
        trusted: bool | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> FeatureList:
        """All features, in pages of `limit` (1 to 100).

        `sort`: `index`, `density`, `h_max` or `rating`, with a minus for the largest first.
        """
        return self._page(
            calls.list_features(
                sort=sort,
                min_rating=min_rating,
                min_density=min_density,
                max_density=max_density,
                trusted=trusted,
                limit=limit,
                after=after,
            )
        )

    def _page(self, call: Call[FeaturePage]) -> FeatureList:
        return FeatureList(self._transport.send(call), call, self._transport)


class AsyncFeatures(AsyncResource):
    """Find features, read them, relate them, and measure them on conversations."""

    get = awaited(calls.get_feature)
    dashboard = awaited(calls.dashboard)
    lookup = awaited(calls.lookup)
    neighbors = awaited(calls.neighbors)
    echoes = awaited(calls.echoes)
    rerank = awaited(calls.rerank)
    map = awaited(calls.feature_map)
    inspect = awaited(calls.inspect)
    attribute = awaited(calls.attribute)
    contrast = awaited(calls.contrast)

    async def search(
        self,
        query: str,
        *,
        mode: SearchMode | None = None,
        min_rating: float | None = None,
        min_density: float | None = None,
        max_density: float | None = None,
        trusted: bool | None = None,
        limit: int = 20,
        after: str | None = None,
    ) -> AsyncFeatureList:
        """Features whose label fits `query`, best first, in pages of `limit` (1 to 100).

        `mode` is `semantic`, `keyword` or `hybrid`; the best that the server's catalogue can, if left out.
        """
        return await self._page(
            calls.list_features(
                _words(query),
                mode=mode,
                min_rating=min_rating,
                min_density=min_density,
                max_density=max_density,
                trusted=trusted,
                limit=limit,
                after=after,
            )
        )

    async def list(
        self,
        *,
        sort: str | None = None,
        min_rating: float | None = None,
        min_density: float | None = None,
        max_density: float | None = None,
        trusted: bool | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> AsyncFeatureList:
        """All features, in pages of `limit` (1 to 100).

        `sort`: `index`, `density`, `h_max` or `rating`, with a minus for the largest first.
        """
        return await self._page(
            calls.list_features(
                sort=sort,
                min_rating=min_rating,
                min_density=min_density,
                max_density=max_density,
                trusted=trusted,
                limit=limit,
                after=after,
            )
        )

    async def _page(self, call: Call[FeaturePage]) -> AsyncFeatureList:
        return AsyncFeatureList(await self._transport.send(call), call, self._transport)


def _words(query: str) -> str:
    if not query.strip():
        raise ValueError("The search is empty: give it words, or list the features instead.")
    return query
