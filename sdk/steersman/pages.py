"""Features, a page at a time."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from steersman.async_transport import AsyncTransport
from steersman.calls import Call
from steersman.notebook import features_html
from steersman.summaries import summary
from steersman.transport import Transport
from steersman.types import Feature, FeaturePage


@dataclass(frozen=True, repr=False)
class FeatureList:
    """A page of features. Iterating goes on to the pages after it; `data` is this page alone."""

    page: FeaturePage
    _call: Call[FeaturePage]
    _transport: Transport

    @property
    def data(self) -> list[Feature]:
        """The features of this page."""
        return self.page.data

    def __repr__(self) -> str:
        return _repr(self, self.page)

    def _repr_html_(self) -> str:
        return features_html(self.page.data)

    def next_page(self) -> "FeatureList | None":
        """The page after this one, or None after the last."""
        call = _after(self._call, self.page)
        return None if call is None else FeatureList(self._transport.send(call), call, self._transport)

    def __iter__(self) -> Iterator[Feature]:
        page: FeatureList | None = self
        while page is not None:
            yield from page.data
            page = page.next_page()


@dataclass(frozen=True, repr=False)
class AsyncFeatureList:
    """A page of features. `async for` goes on to the pages after it; `data` is this page alone."""

    page: FeaturePage
    _call: Call[FeaturePage]
    _transport: AsyncTransport

    @property
    def data(self) -> list[Feature]:
        """The features of this page."""
        return self.page.data

    def __repr__(self) -> str:
        return _repr(self, self.page)

    def _repr_html_(self) -> str:
        return features_html(self.page.data)

    async def next_page(self) -> "AsyncFeatureList | None":
        """The page after this one, or None after the last."""
        call = _after(self._call, self.page)
        return (
            None
            if call is None
            else AsyncFeatureList(await self._transport.send(call), call, self._transport)
        )

    async def __aiter__(self) -> AsyncIterator[Feature]:
        page: AsyncFeatureList | None = self
        while page is not None:
            for feature in page.data:
                yield feature
            page = await page.next_page()


def _after(call: Call[FeaturePage], page: FeaturePage) -> Call[FeaturePage] | None:
    if not page.has_more or page.last_id is None:
        return None
    return call.with_query(after=page.last_id)


def _repr(pages: FeatureList | AsyncFeatureList, page: FeaturePage) -> str:
    what = f"{len(page.data)}{' and more pages' if page.has_more else ''}"
    return summary(type(pages).__name__, what, [f"{each.index} {each.label!r}" for each in page.data])
