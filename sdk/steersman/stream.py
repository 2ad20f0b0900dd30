"""An answer that is still being written."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from types import TracebackType
from typing import Self

import httpx

from steersman.calls import decode
from steersman.errors import APIConnectionError, APITimeoutError, StreamError, error_object, excerpt
from steersman.sse import Event, EventDecoder
from steersman.types import ChatCompletionChunk, ChoiceAttribution, FinishReason, SteeringReceipt, Usage

DONE = b"[DONE]"


class Answer:
    """What the chunks of a stream have said so far."""

    def __init__(self, request_id: str | None) -> None:
        self.request_id = request_id
        self.steering: SteeringReceipt | None = None
        self.attribution: list[ChoiceAttribution] | None = None
        self.usage: Usage | None = None
        self.finish_reason: FinishReason | None = None
        """None until the answer is complete."""
        self._text: list[str] = []

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(self._text)

    def _add(self, event: Event) -> ChatCompletionChunk | None:
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
        chunk = decode(event.data, ChatCompletionChunk)
        for choice in chunk.choices:
            self._text.append(choice.delta.content or "")
            self.finish_reason = choice.finish_reason or self.finish_reason
        self.steering = chunk.steering or self.steering
        self.attribution = chunk.attribution or self.attribution
        self.usage = chunk.usage or self.usage
        return chunk


class ChatStream(Answer):
    """The chunks of an answer, as they come; `text`, `usage` and the rest fill up meanwhile.

    Iterate over it once, inside a `with` block if you may stop early: closing it tells the server
    to stop.

    Raises, while iterating:
        StreamError: The server failed in the middle.
        APIConnectionError: The stream broke off before its end.
        ResponseError: An event is no chunk.
    """

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.headers.get("x-request-id"))
        self._response = response
        self._chunks = self._read()

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        return self._chunks

    def __next__(self) -> ChatCompletionChunk:
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

    def _read(self) -> Generator[ChatCompletionChunk, None, None]:
        decoder = EventDecoder()
        try:
            for piece in self._response.iter_bytes():
                for event in decoder.feed(piece):
                    chunk = self._add(event)
                    if chunk is None:
                        return
                    yield chunk
        except httpx.TimeoutException as error:
            raise APITimeoutError(f"The stream stalled: {error}") from error
        except httpx.RequestError as error:
            raise APIConnectionError(f"The stream broke off: {error}") from error
        finally:
            self._response.close()
        raise APIConnectionError("The stream broke off before [DONE]; the answer is incomplete.")


class AsyncChatStream(Answer):
    """What `ChatStream` is, for `async for` and `async with`."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__(response.headers.get("x-request-id"))
        self._response = response
        self._chunks = self._read()

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        return self._chunks

    async def __anext__(self) -> ChatCompletionChunk:
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

    async def _read(self) -> AsyncGenerator[ChatCompletionChunk, None]:
        decoder = EventDecoder()
        try:
            async for piece in self._response.aiter_bytes():
                for event in decoder.feed(piece):
                    chunk = self._add(event)
                    if chunk is None:
                        return
                    yield chunk
        except httpx.TimeoutException as error:
            raise APITimeoutError(f"The stream stalled: {error}") from error
        except httpx.RequestError as error:
            raise APIConnectionError(f"The stream broke off: {error}") from error
        finally:
            await self._response.aclose()
        raise APIConnectionError("The stream broke off before [DONE]; the answer is incomplete.")
