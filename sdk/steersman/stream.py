"""An answer that is still being written."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

import httpx

from steersman.calls import decode
from steersman.errors import (
    APIConnectionError,
    APITimeoutError,
    ResponseError,
    StreamError,
    error_object,
    excerpt,
)
from steersman.sse import Event, EventDecoder
from steersman.types import (
    AnswerMessage,
    ChatCompletionChunk,
    ChoiceAttribution,
    ChunkChoice,
    Completion,
    CompletionChoice,
    FinishReason,
    Moderation,
    SteeringReceipt,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from steersman.types.tools import whole_calls

DONE = b"[DONE]"
C = TypeVar("C", ChatCompletionChunk, Completion)


class Answer(Generic[C]):
    """What the chunks of a stream have said so far."""

    _chunk: type[C]

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self.request_id: str | None = response.headers.get("x-request-id")
        """What the server calls this request in its log."""
        self.steering: SteeringReceipt | None = None
        """Comes near the end; None if nothing was edited."""
        self.moderation: Moderation | None = None
        """Comes with it; None if nothing was found."""
        self.attribution: list[ChoiceAttribution] | None = None
        self.usage: Usage | None = None
        self._texts: dict[int, list[str]] = {}
        self._calls: list[ToolCallDelta] = []
        self._reasons: dict[int, FinishReason] = {}

    @property
    def text(self) -> str:
        """The first choice's text so far."""
        return "".join(self._texts.get(0, ()))

    @property
    def texts(self) -> tuple[str, ...]:
        """The text so far of every choice that has begun, in their order."""
        return tuple("".join(self._texts[index]) for index in sorted(self._texts))

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the first choice ended; None until it has."""
        return self._reasons.get(0)

    @property
    def finish_reasons(self) -> tuple[FinishReason | None, ...]:
        """Why each choice ended, in the order of `texts`."""
        return tuple(self._reasons.get(index) for index in sorted(self._texts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(text={self.text!r}, finish_reason={self.finish_reason!r})"

    def _add(self, event: Event) -> C | None:
        """Take in one event and return its chunk, or None at the end of the stream."""
        if event.data == DONE:
            return None
        error = error_object(event.data)
        if error is not None:
            raise StreamError(error.message, error.type, error.param, error.code, self.request_id, event.data)
        if event.name == "error":
            raise StreamError(
                f"The stream ended in an error: {excerpt(event.data)}",
                request_id=self.request_id,
                body=event.data,
            )
        chunk = decode(event.data, self._chunk)
        for choice in chunk.choices:
            self._texts.setdefault(choice.index, []).append(_text(choice))
            if isinstance(choice, ChunkChoice) and choice.index == 0:
                self._calls += choice.delta.tool_calls or ()
            if choice.finish_reason is not None:
                self._reasons[choice.index] = choice.finish_reason
        self.steering = chunk.steering or self.steering
        self.moderation = chunk.moderation or self.moderation
        self.attribution = chunk.attribution or self.attribution
        self.usage = chunk.usage or self.usage
        return chunk


class Stream(Answer[C]):
    """The chunks of an answer, as they come; `text`, `usage` and the rest fill up meanwhile.

    Iterate over it once, inside a `with` block if you may stop early: closing it tells the server
    to stop.

    Raises, while iterating:
        StreamError: The server failed in the middle.
        APIConnectionError: The stream broke off before its end.
        ResponseError: An event is no chunk.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response)
        self._chunks = self._read()

    def __iter__(self) -> Iterator[C]:
        return self._chunks

    def __next__(self) -> C:
        return next(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the answer here; there is nothing more to iterate over."""
        self._chunks.close()
        self._response.close()

    def _read(self) -> Generator[C, None, None]:
        decoder = EventDecoder()
        try:
            for piece in self._response.iter_bytes():
                for event in decoder.feed(piece):
                    chunk = self._add(event)
                    if chunk is None:
                        return
                    yield chunk
        except httpx.RequestError as error:
            raise _broken(error) from error
        finally:
            self._response.close()
        raise APIConnectionError("The stream broke off before [DONE]; the answer is incomplete.")


class AsyncStream(Answer[C]):
    """What `Stream` is, for `async for` and `async with`."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response)
        self._chunks = self._read()

    def __aiter__(self) -> AsyncIterator[C]:
        return self._chunks

    async def __anext__(self) -> C:
        return await anext(self._chunks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the answer here; there is nothing more to iterate over."""
        await self._chunks.aclose()
        await self._response.aclose()

    async def _read(self) -> AsyncGenerator[C, None]:
        decoder = EventDecoder()
        try:
            async for piece in self._response.aiter_bytes():
                for event in decoder.feed(piece):
                    chunk = self._add(event)
                    if chunk is None:
                        return
                    yield chunk
        except httpx.RequestError as error:
            raise _broken(error) from error
        finally:
            await self._response.aclose()
        raise APIConnectionError("The stream broke off before [DONE]; the answer is incomplete.")


class ChatMessage(Answer[ChatCompletionChunk]):
    """What a chat's stream has beside every stream's."""

    _chunk = ChatCompletionChunk

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The first choice's calls so far; the arguments of the last may still be incomplete."""
        return whole_calls(self._calls)

    @property
    def message(self) -> AnswerMessage:
        """The first choice so far, as a message to go on from: `messages + [stream.message]`."""
        calls = self.tool_calls or None
        content = self.text or (None if calls else "")
        return AnswerMessage(role="assistant", content=content, refusal=None, tool_calls=calls)


class ChatStream(ChatMessage, Stream[ChatCompletionChunk]):
    """A chat's answer as it is written: iterate over it, in a `with` block if you may stop early.

    `text`, `tool_calls`, `finish_reason`, `steering`, `attribution`, `usage` and the rest fill up meanwhile.
    """


class AsyncChatStream(ChatMessage, AsyncStream[ChatCompletionChunk]):
    """What `ChatStream` is, for `async for` and `async with`."""


class CompletionStream(Stream[Completion]):
    """A completion as it is written; with several prompts or `n`, `texts` has one for each."""

    _chunk = Completion


class AsyncCompletionStream(AsyncStream[Completion]):
    """What `CompletionStream` is, for `async for` and `async with`."""

    _chunk = Completion


def _text(choice: ChunkChoice | CompletionChoice) -> str:
    return choice.text if isinstance(choice, CompletionChoice) else choice.delta.content or ""


def _broken(error: httpx.RequestError) -> Exception:
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return APITimeoutError(f"The stream stalled: {reason}")
    if isinstance(error, httpx.DecodingError):
        return ResponseError(f"The stream cannot be decoded: {reason}")
    return APIConnectionError(f"The stream broke off: {reason}")
