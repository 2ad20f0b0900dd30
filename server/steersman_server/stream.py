"""A streamed answer as server-sent events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from steersman.types import (
    ChatCompletionChunk,
    ChoiceAttribution,
    ChunkChoice,
    Delta,
    ErrorEnvelope,
    FinishReason,
    SteeringReceipt,
    Usage,
)
from steersman_server.answer import Answer
from steersman_server.errors import describe, log_if_unexpected

DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Chunks:
    """Makes the events of one stream; they share these."""

    id: str
    created: int
    model: str
    fingerprint: str

    def delta(self, delta: Delta, finish_reason: FinishReason | None = None) -> bytes:
        """A part of the answer."""
        choice = ChunkChoice(index=0, delta=delta, finish_reason=finish_reason, logprobs=None)
        return self._event(choices=[choice])

    def results(self, steering: SteeringReceipt | None, attribution: list[ChoiceAttribution] | None) -> bytes:
        """What was learnt beside the answer."""
        return self._event(steering=steering, attribution=attribution)

    def usage(self, usage: Usage) -> bytes:
        """Token counts."""
        return self._event(usage=usage)

    def _event(
        self,
        *,
        choices: list[ChunkChoice] | None = None,
        usage: Usage | None = None,
        steering: SteeringReceipt | None = None,
        attribution: list[ChoiceAttribution] | None = None,
    ) -> bytes:
        return _frame(
            ChatCompletionChunk(
                id=self.id,
                object="chat.completion.chunk",
                created=self.created,
                model=self.model,
                choices=choices or [],
                usage=usage,
                system_fingerprint=self.fingerprint,
                steering=steering,
                attribution=attribution,
            )
        )


async def events_of(
    answer: Answer, chunks: Chunks, *, with_usage: bool, request_id: str
) -> AsyncGenerator[bytes, None]:
    """Role, text, finish, then steering and attribution, usage, `[DONE]`. Closing it cancels the answer.

    Raises:
        Exception: Whatever went wrong before the first event; what goes wrong later is an event.
    """
    started = False
    try:
        async with aclosing(answer.deltas()) as deltas:
            async for text in deltas:
                if not started:
                    started = True
                    yield chunks.delta(Delta(role="assistant", content=""))
                if text:
                    yield chunks.delta(Delta(content=text))
        yield chunks.delta(Delta(), answer.finish_reason)
        steering, attribution = answer.steering, await answer.attribution()
        if steering is not None or attribution is not None:
            yield chunks.results(steering, attribution)
        if with_usage:
            yield chunks.usage(answer.usage)
    except Exception as error:
        if not started:
            raise
        log_if_unexpected(error, request_id)
        yield _frame(ErrorEnvelope(describe(error)[1]))
    yield DONE


def _frame(event: ChatCompletionChunk | ErrorEnvelope) -> bytes:
    return b"data: " + _encode(event) + b"\n\n"
