"""Features, a page at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from steersman.calls import Call
from steersman.transport import Transport
from steersman.types import Feature, FeaturePage


@dataclass(frozen=True)
class FeatureList:
    """A page of features. Iterating goes on to the pages after it; `data` is this page alone."""

    page: FeaturePage
    _call: Call[FeaturePage] = field(repr=False)
    _transport: Transport = field(repr=False)

    @property
    def data(self) -> list[Feature]:
        """The features of this page."""
        return self.page.data

    def next_page(self) -> "FeatureList | None":
        """The page after this one, or None after the last."""
        if not self.page.has_more or self.page.last_id is None:
            return None
        call = replace(self._call, query={**self._call.query, "after": self.page.last_id})
        return FeatureList(self._transport.send(call), call, self._transport)

    def __iter__(self) -> Iterator[Feature]:
        page: FeatureList | None = self
        while page is not None:
            yield from page.data
            page = page.next_page()
