"""The client's methods, grouped as on the wire."""

from typing import Literal, Unpack, overload

from steersman import calls
from steersman.calls import ChatOptions
from steersman.pages import FeatureList
from steersman.stream import ChatStream
from steersman.transport import Transport
from steersman.types import ChatCompletion, Feature, Messages, Model


class Models:
    """`client.models`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._only: str | None = None

    def list(self) -> list[Model]:
        """All models that the server answers for."""
        return self._transport.send(calls.list_models()).data

    def only(self) -> str:
        """The id of the server's only model; asked for once.

        Raises:
            ValueError: It has several.
        """
        if self._only is None:
            self._only = calls.only_model(self._transport.send(calls.list_models()))
        return self._only


class Completions:
    """`client.chat.completions`."""

    def __init__(self, transport: Transport, models: Models) -> None:
        self._transport = transport
        self._models = models

    @overload
    def create(
        self, *, messages: Messages, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> ChatCompletion: ...

    @overload
    def create(
        self, *, messages: Messages, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> ChatStream: ...

    @overload
    def create(
        self, *, messages: Messages, stream: bool, **options: Unpack[ChatOptions]
    ) -> ChatCompletion | ChatStream: ...

    def create(
        self, *, messages: Messages, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> ChatCompletion | ChatStream:
        """Answer a conversation: whole, or with `stream` as it is written.

        `options` are the fields of `ChatOptions`. Messages and edits are the types of this package or
        dictionaries with the same fields.

        Raises:
            ValueError: A field is misspelt or holds what it may not; nothing was sent.
        """
        options["model"] = options.get("model") or self._models.only()
        call = calls.create_chat(messages, options, stream=stream)
        return self._transport.stream(call) if stream else self._transport.send(call)


class Chat:
    """`client.chat`."""

    def __init__(self, transport: Transport, models: Models) -> None:
        self.completions = Completions(transport, models)


class Features:
    """`client.features`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def search(self, query: str, *, limit: int = 20, after: str | None = None) -> FeatureList:
        """Features whose label fits `query`, best first, in pages of `limit` (1 to 100)."""
        return self._page(query, limit, after)

    def list(self, *, limit: int = 100, after: str | None = None) -> FeatureList:
        """All features in order of their index, in pages of `limit` (1 to 100)."""
        return self._page(None, limit, after)

    def get(self, index: int) -> Feature:
        """One feature, with its examples.

        Raises:
            NotFoundError: There is no such feature.
        """
        return self._transport.send(calls.get_feature(index))

    def _page(self, query: str | None, limit: int, after: str | None) -> FeatureList:
        call = calls.list_features(query, limit=limit, after=after)
        return FeatureList(self._transport.send(call), call, self._transport)
