"""A streamed answer as server-sent events: OpenAI's order, framing and bytes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec

from steersman.types import (
    ChatCompletionChunk,
    ChoiceActivations,
    ChoiceAttribution,
    Completion,
    ErrorEnvelope,
    Moderation,
    SteeringReceipt,
    StreamOptions,
    Usage,
)
from steersman_server.answers.answer import Piece
from steersman_server.answers.work import Work
from steersman_server.errors import describe

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class Chunks(Protocol):
    """Makes the events of one stream, of a chat's or a completion's type."""

    def begin(self, index: int) -> ChatCompletionChunk | Completion | None:
        """What opens a choice."""
        ...

    def piece(
        self, index: int, piece: Piece, usage: Usage | None, activations: list[ChoiceActivations] | None
    ) -> ChatCompletionChunk | Completion:
        """A part of a choice."""
        ...

    def finish(
        self,
        index: int,
        reason: str,
        usage: Usage | None,
        steering: SteeringReceipt | None,
        moderation: Moderation | None,
    ) -> ChatCompletionChunk | Completion:
        """The end of a choice; of the last one to end with what was done to all."""
        ...

    def attribution(self, found: list[ChoiceAttribution]) -> ChatCompletionChunk | Completion:
        """Why the answers are what they are."""
        ...

    def usage(self, usage: Usage) -> ChatCompletionChunk | Completion:
        """Token counts."""
        ...


async def events_of(
    work: Work, chunks: Chunks, options: StreamOptions, failed: Callable[[Exception], None]
) -> AsyncGenerator[bytes, None]:
    """Openings, text and ends, then attribution, usage, `[DONE]`. Closing it cancels all.

    The receipt of the steering and what moderation found ride on the last end: a client that steers by a
    variant's name may not know that a chunk can have no choices.

    Raises:
        Exception: Whatever went wrong before the first event; what goes wrong later is an event, and
            `failed` is told.
    """
    begun: set[int] = set()
    ended: set[int] = set()

    def so_far() -> Usage | None:
        return work.usage() if options.continuous_usage_stats else None

    try:
        async with aclosing(work.pieces()) as parts:
            async for index, piece in parts:
                if index not in begun:
                    begun.add(index)
                    opening = chunks.begin(index)
                    if opening is not None:
                        yield _frame(opening)
                active = await work.activations([(index, piece)])
                if piece.text or piece.calls or piece.logprobs or active:
                    yield _frame(chunks.piece(index, piece, so_far(), active))
                if piece.finish is not None:
                    ended.add(index)
                    all_ended = len(ended) == len(work.answers)
                    of_all = (work.steering(), work.moderation()) if all_ended else (None, None)
                    yield _frame(chunks.finish(index, piece.finish, so_far(), *of_all))
        attribution = await work.attribution()
        if attribution is not None:
            yield _frame(chunks.attribution(attribution))
        if options.include_usage:
            yield _frame(chunks.usage(work.usage()))
    except Exception as error:
        if not begun:
            raise
        failed(error)
        yield _frame(ErrorEnvelope(describe(error)[1]))
    yield DONE


def _frame(event: ChatCompletionChunk | Completion | ErrorEnvelope) -> bytes:
    return b"data: " + _encode(event) + b"\n\n"
