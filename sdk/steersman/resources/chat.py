"""`client.chat.completions` and `client.completions`: answers, whole or as they are written."""

from typing import Literal, Unpack, overload

from steersman import calls
from steersman.async_transport import AsyncTransport
from steersman.calls import ChatOptions, CompletionOptions, Prompt
from steersman.resources.method import AsyncResource, RawResponse, Resource
from steersman.stream import AsyncChatStream, AsyncCompletionStream, ChatStream, CompletionStream
from steersman.transport import Transport
from steersman.types import ChatCompletion, Completion, Messages


class CreateChat(Resource):
    """Answer a conversation: whole, or with `stream` as it is written.

    `options` are the fields of `ChatOptions`: feature_edits, attribution, temperature, max_tokens and
    so on. Messages and edits are the types of this package or dictionaries with the same fields.

    Raises:
        ValueError: A field is misspelt or holds what it may not; nothing was sent.
    """

    @overload
    def __call__(
        self, *, messages: Messages, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> ChatCompletion: ...

    @overload
    def __call__(
        self, *, messages: Messages, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> ChatStream: ...

    @overload
    def __call__(
        self, *, messages: Messages, stream: bool, **options: Unpack[ChatOptions]
    ) -> ChatCompletion | ChatStream: ...

    def __call__(
        self, *, messages: Messages, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> ChatCompletion | ChatStream:
        """Send it."""
        call = calls.create_chat(messages, options, stream=stream)
        return self._transport.stream(call, ChatStream) if stream else self._transport.send(call)

    def with_raw_response(
        self, *, messages: Messages, **options: Unpack[ChatOptions]
    ) -> RawResponse[ChatCompletion]:
        """A whole answer with what HTTP said of it: headers and request id."""
        return self._transport.raw(calls.create_chat(messages, options, stream=False))


class AsyncCreateChat(AsyncResource):  # noqa: D101 # that of its twin
    __doc__ = CreateChat.__doc__

    @overload
    async def __call__(
        self, *, messages: Messages, stream: Literal[False] = False, **options: Unpack[ChatOptions]
    ) -> ChatCompletion: ...

    @overload
    async def __call__(
        self, *, messages: Messages, stream: Literal[True], **options: Unpack[ChatOptions]
    ) -> AsyncChatStream: ...

    @overload
    async def __call__(
        self, *, messages: Messages, stream: bool, **options: Unpack[ChatOptions]
    ) -> ChatCompletion | AsyncChatStream: ...

    async def __call__(
        self, *, messages: Messages, stream: bool = False, **options: Unpack[ChatOptions]
    ) -> ChatCompletion | AsyncChatStream:
        """Send it."""
        call = calls.create_chat(messages, options, stream=stream)
        if stream:
            return await self._transport.stream(call, AsyncChatStream)
        return await self._transport.send(call)

    async def with_raw_response(
        self, *, messages: Messages, **options: Unpack[ChatOptions]
    ) -> RawResponse[ChatCompletion]:
        """A whole answer with what HTTP said of it: headers and request id."""
        return await self._transport.raw(calls.create_chat(messages, options, stream=False))


class CreateCompletion(Resource):
    """Continue a text, or several, with no chat template around it: whole, or with `stream` as it is written.

    `prompt` is a text, a list of token ids, or a list of either. `options` are the fields of
    `CompletionOptions`.

    Raises:
        ValueError: A field is misspelt or holds what it may not; nothing was sent.
    """

    @overload
    def __call__(
        self, *, prompt: Prompt, stream: Literal[False] = False, **options: Unpack[CompletionOptions]
    ) -> Completion: ...

    @overload
    def __call__(
        self, *, prompt: Prompt, stream: Literal[True], **options: Unpack[CompletionOptions]
    ) -> CompletionStream: ...

    @overload
    def __call__(
        self, *, prompt: Prompt, stream: bool, **options: Unpack[CompletionOptions]
    ) -> Completion | CompletionStream: ...

    def __call__(
        self, *, prompt: Prompt, stream: bool = False, **options: Unpack[CompletionOptions]
    ) -> Completion | CompletionStream:
        """Send it."""
        call = calls.create_completion(prompt, options, stream=stream)
        return self._transport.stream(call, CompletionStream) if stream else self._transport.send(call)

    def with_raw_response(
        self, *, prompt: Prompt, **options: Unpack[CompletionOptions]
    ) -> RawResponse[Completion]:
        """A whole answer with what HTTP said of it: headers and request id."""
        return self._transport.raw(calls.create_completion(prompt, options, stream=False))


class AsyncCreateCompletion(AsyncResource):  # noqa: D101 # that of its twin
    __doc__ = CreateCompletion.__doc__

    @overload
    async def __call__(
        self, *, prompt: Prompt, stream: Literal[False] = False, **options: Unpack[CompletionOptions]
    ) -> Completion: ...

    @overload
    async def __call__(
        self, *, prompt: Prompt, stream: Literal[True], **options: Unpack[CompletionOptions]
    ) -> AsyncCompletionStream: ...

    @overload
    async def __call__(
        self, *, prompt: Prompt, stream: bool, **options: Unpack[CompletionOptions]
    ) -> Completion | AsyncCompletionStream: ...

    async def __call__(
        self, *, prompt: Prompt, stream: bool = False, **options: Unpack[CompletionOptions]
    ) -> Completion | AsyncCompletionStream:
        """Send it."""
        call = calls.create_completion(prompt, options, stream=stream)
        if stream:
            return await self._transport.stream(call, AsyncCompletionStream)
        return await self._transport.send(call)

    async def with_raw_response(
        self, *, prompt: Prompt, **options: Unpack[CompletionOptions]
    ) -> RawResponse[Completion]:
        """A whole answer with what HTTP said of it: headers and request id."""
        return await self._transport.raw(calls.create_completion(prompt, options, stream=False))


class ChatCompletions:
    """Answers to conversations, steered."""

    def __init__(self, transport: Transport) -> None:
        self.create = CreateChat(transport)


class AsyncChatCompletions:
    """Answers to conversations, steered."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.create = AsyncCreateChat(transport)


class Chat:
    """`client.chat`."""

    def __init__(self, transport: Transport) -> None:
        self.completions = ChatCompletions(transport)


class AsyncChat:
    """`client.chat`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.completions = AsyncChatCompletions(transport)


class Completions:
    """`client.completions`: texts continued, with no chat template."""

    def __init__(self, transport: Transport) -> None:
        self.create = CreateCompletion(transport)


class AsyncCompletions:
    """`client.completions`: texts continued, with no chat template."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.create = AsyncCreateCompletion(transport)
