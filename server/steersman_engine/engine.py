"""What a server needs of an engine. It speaks token ids: no text, no HTTP.

`LocalEngine` runs here; another engine can stand behind the same server. Activations and the
constants of conditions are in residual units; positions count from the prompt's first token on.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, Self

from torch import Tensor

from steersman_engine.conditions import Condition
from steersman_engine.edits import AffineEdit, EditReport
from steersman_engine.prompt import Prompt
from steersman_engine.stats import EngineStats


class EngineError(RuntimeError):
    """The engine could not finish a request; the message is for the log, not for the client."""


class EngineBusyError(EngineError):
    """The queue is full: nothing was begun, and trying again later may work."""


class EngineTimeoutError(EngineError):
    """There was not enough time; trying again later may work."""


class EngineClosedError(EngineError):
    """The engine is stopping."""


class RequestTooLargeError(ValueError):
    """The engine can never do this request; the message names the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What an engine serves, and its limits."""

    d_sae: int
    max_positions: int
    """Longest prompt and answer together, in tokens."""
    vocab_size: int = 2**31
    """Token ids are below it."""
    max_edits: int = 64
    """Of one request."""
    max_logprobs: int = 20
    max_job_positions: int = 4096
    """Longest prompt and answer together that `attribute`, `inspect`, `score` and `logits` take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen.

    In this order: `repetition_penalty` (of tokens in prompt or answer: Keskar et al. 2019,
    arXiv:1909.05858), OpenAI's `presence_penalty` and `frequency_penalty` (of tokens in the answer),
    `logit_bias`, the mask; then `temperature`, `min_p`, `top_k`, `top_p`.
    """

    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    """Keep the likeliest tokens whose probabilities reach this (Holtzman et al. 2019, arXiv:1904.09751)."""
    top_k: int | None = None
    """Keep so many of the likeliest tokens."""
    min_p: float = 0.0
    """Keep tokens at least so likely, in units of the likeliest's probability (arXiv:2407.01082)."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    """The same seed gives the same tokens; None draws one."""


class LogitMask(Protocol):
    """Which tokens may come next: constrained decoding. One object serves one request."""

    def allowed(self, answer: Sequence[int]) -> Tensor | None:
        """Bool `[vocab]` on the CPU, or None where every token may come; a shorter one bars the rest.

        `answer` is the answer so far; it grows by one token a call, and is not to be kept or changed.
        Runs on the engine's thread between two steps of every stream, so its work must be bounded. An
        exception, or a mask that allows nothing, ends this request with EngineError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """Continue a prompt.

    Several answers to one prompt, and one prompt under several edits, are as many requests: they
    share the work on the prompt.
    """

    prompt: Prompt
    max_tokens: int
    sampling: Sampling = Sampling()
    edits: tuple[AffineEdit, ...] = ()
    abort_when: tuple[Condition, ...] = ()
    """The answer ends where one of these holds."""
    stop_token_ids: frozenset[int] = frozenset()
    """Tokens that end the answer; they are not part of it."""
    logprobs: int | None = None
    """Give each token's log probability, and those of so many likeliest tokens."""
    watch: int | None = None
    """Give so many of the most active features of each token of the answer."""
    mask: LogitMask | None = None
    deadline: float | None = None
    """The answer ends at this time of `time.monotonic()`, as far as it has come."""

    def choice(self, index: int) -> Self:
        """The request for one of several answers: its own seed, made of the request's if it has one.

        A mask belongs to one answer: give each its own.
        """
        if self.sampling.seed is None or index == 0:
            return self
        return replace(self, sampling=replace(self.sampling, seed=self.sampling.seed + (index << 64)))


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token and its log probability: log-softmax of the logits as the steered model gives them."""

    token_id: int
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """A token, and the likeliest ones in its place, likeliest first."""

    token_id: int
    logprob: float
    top: list[TokenLogprob]


@dataclass(frozen=True, slots=True)
class ActiveFeature:
    """A feature and its activation at one token, after edits."""

    feature: int
    activation: float


@dataclass(frozen=True, slots=True)
class TokenFeatures:
    """The features of one token, most active first; those left out are less active, or zero."""

    position: int
    is_sink: bool
    """An attention sink: it has no features."""
    features: list[ActiveFeature]


@dataclass(frozen=True, slots=True)
class Abort:
    """Why an answer was aborted."""

    condition: int
    """Index into the request's `abort_when`."""
    position: int
    """Where it held; from `len(prompt)` on it is a token of the answer."""


Finish = Literal["stop", "length", "abort", "deadline"]


@dataclass(frozen=True, slots=True)
class Timing:
    """When an answer came how far, by `time.monotonic`."""

    arrived_s: float
    begun_s: float
    """When it got a slot."""
    first_token_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvent:
    """One more token, or the end."""

    token_id: int | None = None
    logprobs: TokenLogprobs | None = None
    features: TokenFeatures | None = None
    """Of the token before this one: a token's features are known once the model has read it. The
    last token's come with `finish`."""
    finish: Finish | None = None
    """Set on the last event, which has no token."""
    abort: Abort | None = None
    """Set when `finish` is `abort`."""
    reports: list[EditReport] = field(default_factory=list)
    """One for each edit, as of this event: a caller may stop at any."""
    timing: Timing | None = None
    """On the event of the first token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionRequest:
    """Explain some tokens of an answer, by SAE features at the positions before them."""

    prompt: Prompt
    answer: tuple[int, ...] = ()
    edits: tuple[AffineEdit, ...] = ()
    """Those the answer was made under."""
    tokens: tuple[int, ...]
    """Indices into `answer`; `len(answer)`, the token to come, needs `target`."""
    target: int | None = None
    """Explain this token in place of the answer's."""
    contrast: int | None = None
    """Explain the token's logit minus this token's; None: minus the mean of all."""
    method: Literal["gradient", "gradient_x_activation"] = "gradient"
    positions: tuple[int, ...] | None = None
    """Only features at these positions take part; None: at all."""
    aggregate: Literal["sum", "max", "per_position"] = "sum"
    """Over positions: their sum, the one of largest size, or a score for each position."""
    sign: Literal["both", "positive", "negative"] = "both"
    """Which scores are listed: the largest by size, the highest, or the lowest."""
    top_k: int = 10


@dataclass(frozen=True, slots=True)
class FeatureScore:
    """One feature's part in a token."""

    feature: int
    attribution: float
    activation: float
    """Its largest over the positions that take part, or that at `position`."""
    position: int | None = None
    """Where; None for a sum."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """The features behind one token, largest first in the sense of the request's `sign`."""

    index: int
    objective: float
    features: list[FeatureScore]


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectRequest:
    """Read the features of a prompt, after edits."""

    prompt: Prompt
    edits: tuple[AffineEdit, ...] = ()
    features: tuple[int, ...] | None = None
    """Only these; None: every feature that is active."""
    top_k: int | None = None
    """At most so many a token; None: all that are not zero."""


class Engine(Protocol):
    """A model and its SAE, ready to answer.

    Every method raises EngineBusyError when too much is waiting, RequestTooLargeError for what it can
    never do, and EngineError when the engine failed; other requests go on.
    """

    @property
    def info(self) -> EngineInfo:
        """What it serves."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        """The answer, token by token, then one event with `finish`. Closing the generator cancels."""
        ...

    async def attribute(self, request: AttributionRequest) -> list[TokenScores]:
        """One entry for each of `request.tokens`, in that order."""
        ...

    async def inspect(self, request: InspectRequest) -> list[TokenFeatures]:
        """One entry for each token of the prompt."""
        ...

    async def logits(self, prompt: Prompt, edits: tuple[AffineEdit, ...]) -> Tensor:
        """The logits of the token after the prompt, `[vocab]` float32 on the CPU."""
        ...

    async def score(self, prompt: Prompt, edits: tuple[AffineEdit, ...], num_top: int) -> list[TokenLogprobs]:
        """The log probability of each token of the prompt but the first, given those before it."""
        ...

    def stats(self) -> EngineStats:
        """What it has done and is doing, for a monitor."""
        ...

    async def aclose(self) -> None:
        """Stop; requests under way end with EngineError."""
        ...
