"""`client.chat.completions`."""

from typing import Literal, Unpack, overload

from steersman import calls
from steersman.async_transport import AsyncTransport
from steersman.calls import ChatOptions
from steersman.resources.method import AsyncResource, RawResponse, Resource
from steersman.stream import AsyncChatStream, ChatStream
from steersman.transport import Transport
from steersman.types import ChatCompletion, Messages


class ChatCompletions(Resource):
    """Answers to conversations, steered."""

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

        `options` are the fields of `ChatOptions`: feature_edits, attribution, temperature, max_tokens and
        so on. Messages and edits are the types of this package or dictionaries with the same fields.

        Raises:
            ValueError: A field is misspelt or holds what it may not; nothing was sent.
        """
        call = calls.create_chat(messages, options, stream=stream)
        return self._transport.stream(call) if stream else self._transport.send(call)

    def create_with_raw_response(
        self, *, messages: Messages, **options: Unpack[ChatOptions]
    ) -> RawResponse[ChatCompletion]:
        """A whole answer with what HTTP said of it: headers and request id."""
        call = calls.create_chat(messages, options, stream=False)
        response = self._transport.request(call)
        return RawResponse(response.status_code, response.headers, response.content, call.answer)


class AsyncChatCompletions(AsyncResource):
    """Answers to conversations, steered."""

    @overload
    async def create(
        self, *, messages: Messages, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> ChatCompletion: ...

    @overload
    async def create(
        self, *, messages: Messages, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> AsyncChatStream: ...

    @overload
    async def create(
        self, *, messages: Messages, stream: bool, **options: Unpack[ChatOptions]
    ) -> ChatCompletion | AsyncChatStream: ...

    async def create(
        self, *, messages: Messages, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> ChatCompletion | AsyncChatStream:
        """Answer a conversation: whole, or with `stream` as it is written.

        `options` are the fields of `ChatOptions`: feature_edits, attribution, temperature, max_tokens and
        so on. Messages and edits are the types of this package or dictionaries with the same fields.

        Raises:
            ValueError: A field is misspelt or holds what it may not; nothing was sent.
        """
        call = calls.create_chat(messages, options, stream=stream)
        return await (self._transport.stream(call) if stream else self._transport.send(call))

    async def create_with_raw_response(
        self, *, messages: Messages, **options: Unpack[ChatOptions]
    ) -> RawResponse[ChatCompletion]:
        """A whole answer with what HTTP said of it: headers and request id."""
        call = calls.create_chat(messages, options, stream=False)
        response = await self._transport.request(call)
        return RawResponse(response.status_code, response.headers, response.content, call.answer)


class Chat:
    """`client.chat`."""

    def __init__(self, transport: Transport) -> None:
        self.completions = ChatCompletions(transport)


class AsyncChat:
    """`client.chat`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.completions = AsyncChatCompletions(transport)
