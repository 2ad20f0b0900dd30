"""What a server needs of an engine. It speaks token ids: no text, no HTTP.

`LocalEngine` runs here; another engine can stand behind the same server.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from steersman_engine.edits import AffineEdit, EditReport
from steersman_engine.prompt import Prompt


class EngineError(RuntimeError):
    """The engine could not finish a request; the message is for the log, not for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """What an engine serves."""

    d_sae: int
    max_positions: int
    """Longest prompt and answer together, in tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen."""

    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    seed: int | None = None
    """The same seed gives the same tokens; None draws one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateRequest:
    """Continue a prompt."""

    prompt: Prompt
    max_tokens: int
    sampling: Sampling = Sampling()
    edits: tuple[AffineEdit, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    """Tokens that end the answer; they are not part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvent:
    """One more token, or the end."""

    token_id: int | None = None
    finish: Literal["stop", "length"] | None = None
    """Set on the last event, which has no token."""
    reports: list[EditReport] = field(default_factory=list)
    """One for each edit, as of this event: a caller may stop at any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributionRequest:
    """Explain some tokens of an answer."""

    prompt: Prompt
    answer: tuple[int, ...]
    edits: tuple[AffineEdit, ...] = ()
    """Those the answer was made under."""
    tokens: tuple[int, ...]
    """Indices into `answer`."""
    top_k: int = 10
    contrast: int | None = None
    """Explain the chosen token's logit minus this token's; None: minus the mean of all."""
    method: Literal["gradient", "gradient_x_activation"] = "gradient"


@dataclass(frozen=True, slots=True)
class FeatureScore:
    """One feature's part in a token."""

    feature: int
    attribution: float
    activation: float
    """Its largest over the positions summed."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """The features behind one token, largest absolute attribution first."""

    index: int
    objective: float
    features: list[FeatureScore]


class Engine(Protocol):
    """A model and its SAE, ready to answer."""

    @property
    def info(self) -> EngineInfo:
        """What it serves."""
        ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        """The answer, token by token, then one event with `finish`. Closing the generator cancels.

        Raises:
            EngineError: The engine failed; other requests go on.
        """
        ...

    async def attribute(self, request: AttributionRequest) -> list[TokenScores]:
        """One entry for each of `request.tokens`, in that order.

        Raises:
            EngineError: The engine failed; other requests go on.
        """
        ...

    async def feature_acts(
        self, prompt: Prompt, edits: tuple[AffineEdit, ...], features: tuple[int, ...]
    ) -> list[list[float]]:
        """Activations of `features` at each token of `prompt`, after edits; 0 at attention sinks."""
        ...

    async def aclose(self) -> None:
        """Stop; requests under way end with EngineError."""
        ...
