"""One answer as it is written: tokens from the engine in, pieces of text out."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from steersman.types import FinishReason, ToolCallDelta
from steersman_engine.edits import EditReport
from steersman_engine.engine import (
    Abort,
    Engine,
    EngineTimeoutError,
    Finish,
    GenerateRequest,
    Timing,
    TokenEvent,
    TokenFeatures,
    TokenLogprobs,
)
from steersman_server.answers.detokenizer import Detokenizer
from steersman_server.answers.stop_strings import StopStrings
from steersman_server.moderation.moderator import Guard
from steersman_server.plans.calling import Calling

FINISH: dict[Finish, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "deadline": "length",
    "abort": "content_filter",
}


@dataclass(slots=True)
class Piece:
    """A part of an answer."""

    text: str = ""
    calls: list[ToolCallDelta] = field(default_factory=list)
    """What is new of calls of tools."""
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    """Of the tokens that make it, if asked for; those of a text that is held back come with it."""
    features: list[TokenFeatures] = field(default_factory=list)
    """Of tokens whose features are known by now, if asked for."""
    finish: FinishReason | None = None
    """Set on the last."""


class Answer:
    """One answer. Read `pieces` to its end before anything else."""

    def __init__(
        self,
        request: GenerateRequest,
        stops: tuple[str, ...],
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        calling: Calling | None = None,
    ) -> None:
        self.request = request
        self._engine = engine
        self._detokenizer = Detokenizer(tokenizer, shown=calling.special.values() if calling else ())
        self._calls = calling.reader() if calling else None
        self._stops = StopStrings(stops)
        self._all_ids: list[int] = []
        self._ends: list[int] = []  # length of the text after each token
        self._logprobs: list[TokenLogprobs] = []
        self._num_logprobs = 0  # of those, handed out
        self._num_chars = 0
        self._features: list[TokenFeatures] = []  # not handed out
        self._cut = False
        self.guard: Guard | None = None
        """Lets its text through, if moderation looks at it."""
        self.reports: list[EditReport] = [EditReport() for _ in request.edits]
        self.finish_reason: FinishReason | None = None
        """None until the answer is complete."""
        self.abort: Abort | None = None
        self.timing: Timing | None = None
        """Set with the first token."""
        self.ended_s: float | None = None
        """When it was over, complete or not, by `time.monotonic`."""

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """A piece for each token, empty when the token completes nothing. Closing it cancels.

        Raises:
            EngineError: The engine failed.
        """
        piece = Piece()
        try:
            async with aclosing(self._engine.generate(self.request)) as events:
                async for event in events:
                    piece = await self._take(event)
                    if self.finish_reason is not None:
                        break
                    yield piece
        finally:
            self.ended_s = time.monotonic()
        assert self.finish_reason is not None
        yield piece

    @property
    def num_tokens(self) -> int:
        """Those computed so far, the ones of a stop string included."""
        return len(self._all_ids)

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens that make the text; those after a cut do not."""
        return tuple(self._all_ids[: self._num_kept])

    @property
    def _num_kept(self) -> int:
        if not self._cut:
            return len(self._all_ids)
        if self.guard is not None and self.guard.ends:
            return bisect_right(self._ends, self._num_chars)  # a token that is shown in part shows the rest
        return bisect_left(self._ends, self._num_chars) + 1 if self._num_chars else 0

    async def _take(self, event: TokenEvent) -> Piece:
        """What one event adds; sets `finish_reason` when it is the last."""
        self.reports = event.reports
        self.timing = self.timing or event.timing
        if event.features is not None and event.features.position >= len(self.request.prompt):
            self._features.append(event.features)
        if event.token_id is not None:
            piece = self._detokenizer.push(event.token_id)
            self._all_ids.append(event.token_id)
            self._ends.append((self._ends[-1] if self._ends else 0) + len(piece))
            if event.logprobs is not None:
                self._logprobs.append(event.logprobs)
            text = self._stops.push(piece)
        else:
            assert event.finish is not None
            if event.finish == "deadline" and not self._all_ids:
                raise EngineTimeoutError("The time was over before the first token.")
            self.abort = event.abort
            text = self._stops.push(self._detokenizer.flush())
            self.finish_reason = FINISH[event.finish]
            if not self._stops.found:
                text += self._stops.flush()
        if self._stops.found:
            self.finish_reason = "stop"
            self._cut = True
        text = await self._guarded(text)
        self._num_chars += len(text)
        text, calls = self._parted(text)
        num_ready = self._num_ready()
        logprobs = self._ready(num_ready, given=bool(text or calls))
        return Piece(text, calls, logprobs, self._known(num_ready), self.finish_reason)

    def _parted(self, text: str) -> tuple[str, list[ToolCallDelta]]:
        """The text without its calls of tools, and what is new of those."""
        if self._calls is None:
            return text, []
        parted = self._calls.push(text, last=self.finish_reason is not None)
        if self.finish_reason == "stop" and self._calls.called:
            self.finish_reason = "tool_calls"
        return parted

    async def _guarded(self, text: str) -> str:
        """The text that moderation lets through."""
        if self.guard is None:
            return text
        text = await self.guard.push(text, last=self.finish_reason is not None)
        if self.guard.ends:
            self.finish_reason = "content_filter"
            self._cut = True
        return text

    def _num_ready(self) -> int:
        """Tokens whose text has been given out."""
        count = self._num_kept
        if self.finish_reason is None:
            given = self._num_chars - (self._calls.num_held if self._calls else 0)
            while count and self._ends[count - 1] > given:
                count -= 1
        return count

    def _ready(self, num_ready: int, *, given: bool) -> list[TokenLogprobs]:
        """The log probabilities of the tokens that have been given out with a text or a call."""
        if not self._logprobs or not (given or self.finish_reason):
            return []
        ready = self._logprobs[self._num_logprobs : num_ready]
        self._num_logprobs = max(num_ready, self._num_logprobs)
        return ready

    def _known(self, num_ready: int) -> list[TokenFeatures]:
        """The features of tokens that have been given out, once they are known."""
        stop = len(self.request.prompt) + num_ready
        known = [token for token in self._features if token.position < stop]
        self._features = self._features[len(known) :]
        return known
