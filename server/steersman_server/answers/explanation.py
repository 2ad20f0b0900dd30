"""Why an answer came out as it did: attribution, from its options to its form on the wire."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from steersman.types import (
    Aggregate,
    ChoiceAttribution,
    ContrastTarget,
    FeatureAttribution,
    Method,
    Sign,
    Target,
    TokenAttribution,
)
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import AttributionRequest, TokenScores
from steersman_engine.prompt import Prompt
from steersman_server.errors import RequestError
from steersman_server.served import ServedModel


class Options(Protocol):
    """`AttributionOptions`, or a request that has its fields."""

    @property
    def tokens(self) -> str | tuple[int, ...]: ...  # noqa: D102
    @property
    def top_k(self) -> int: ...  # noqa: D102
    @property
    def target(self) -> Target: ...  # noqa: D102
    @property
    def method(self) -> Method: ...  # noqa: D102
    @property
    def aggregate(self) -> Aggregate: ...  # noqa: D102
    @property
    def sign(self) -> Sign: ...  # noqa: D102
    @property
    def positions(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Explanation:
    """Options that can be carried out."""

    options: Options
    given: int | None
    contrast: int | None

    @classmethod
    def of(
        cls,
        options: Options,
        served: ServedModel,
        *,
        num_prompt_tokens: int,
        max_tokens: int,
        limit: int,
        under: str = "attribution.",
    ) -> "Explanation":
        """Check the options against an answer that has at most `max_tokens`.

        `under`: where the options stand in the request, for errors.

        Raises:
            RequestError: A token is none of the model's, or the answer may be too long to explain.
        """
        _check_tokens(options.tokens, max_tokens, limit, f"{under}tokens")
        tokens = options.tokens
        furthest = max_tokens if isinstance(tokens, str) or min(tokens) < 0 else max(tokens) + 1
        longest = served.engine.info.max_job_positions
        if num_prompt_tokens + furthest > longest:
            message = (
                f"The prompt has {num_prompt_tokens} tokens and the answer may have {furthest}, and at most"
                f" {longest} together can be explained. Set `max_tokens`, or shorten the prompt."
            )
            raise RequestError(message, param=under.rstrip(".") or "messages", code="too_many_positions")
        if not isinstance(options.target, ContrastTarget):
            return cls(options, given=None, contrast=None)
        given, contrast = options.target.given, options.target.token
        return cls(
            options,
            given=None if given is None else one_token(given, served, f"{under}target.given"),
            contrast=None if contrast is None else one_token(contrast, served, f"{under}target.token"),
        )

    async def explain(
        self,
        choice: int,
        prompt: Prompt,
        answer: tuple[int, ...],
        edits: tuple[AffineEdit, ...],
        served: ServedModel,
    ) -> ChoiceAttribution:
        """The features behind an answer's tokens, under its edits. Tokens it ended before are left out.

        Of no answer and a given token, those behind that token as the answer's first.

        Raises:
            EngineError: The engine failed.
        """
        to_come = not answer and self.given is not None
        indices = (0,) if to_come else self._indices(len(answer))
        scores = await self._scores(prompt, answer, edits, indices, served) if indices else []
        return ChoiceAttribution(
            choice=choice,
            method=self.options.method,
            target=self.options.target,
            tokens=await self._tokens(scores, prompt.token_ids + answer, len(prompt), served),
        )

    def _indices(self, length: int) -> tuple[int, ...]:
        if isinstance(self.options.tokens, str):
            return tuple(range(length))
        found = (index if index >= 0 else length + index for index in self.options.tokens)
        return tuple(dict.fromkeys(index for index in found if 0 <= index < length))

    async def _scores(
        self,
        prompt: Prompt,
        answer: tuple[int, ...],
        edits: tuple[AffineEdit, ...],
        indices: tuple[int, ...],
        served: ServedModel,
    ) -> list[TokenScores]:
        part = self.options.positions
        ranges = {"prompt": range(len(prompt)), "generation": range(len(prompt), len(prompt) + len(answer))}
        return await served.engine.attribute(
            AttributionRequest(
                prompt=prompt,
                answer=answer,
                edits=edits,
                tokens=indices,
                target=self.given,
                contrast=self.contrast,
                method=self.options.method,
                positions=tuple(ranges[part]) if part in ranges else None,
                aggregate=self.options.aggregate,
                sign=self.options.sign,
                top_k=self.options.top_k,
            )
        )

    async def _tokens(
        self, scores: Sequence[TokenScores], whole: tuple[int, ...], start: int, served: ServedModel
    ) -> list[TokenAttribution]:
        known = await served.named(score.feature for token in scores for score in token.features)

        def text(index: int) -> str:
            token_id = whole[start + index] if start + index < len(whole) else self.given
            return "" if token_id is None else served.texts.text(token_id)

        return [
            TokenAttribution(
                index=token.index,
                token=text(token.index),
                objective=token.objective,
                features=[
                    FeatureAttribution(
                        feature=score.feature,
                        label=known[score.feature].label,
                        attribution=score.attribution,
                        activation=score.activation,
                        h_max=known[score.feature].h_max,
                        position=score.position,
                        at=None if score.position is None else served.texts.text(whole[score.position]),
                    )
                    for score in token.features
                ],
            )
            for token in scores
        ]


def one_token(text: str, served: ServedModel, param: str) -> int:
    """The id of a text that is one token.

    Raises:
        RequestError: It is more, or none.
    """
    token_id = served.texts.only(text)
    if token_id is None:
        message = (
            f"{text[:100]!r} is not one token of this model. A word in the middle of a text usually starts"
            " with its space; /tokenize shows the tokens of a text."
        )
        raise RequestError(message, param=param, code="invalid_value")
    return token_id


def _check_tokens(tokens: str | tuple[int, ...], max_tokens: int, limit: int, param: str) -> None:
    if isinstance(tokens, str):
        if max_tokens > limit:
            message = (
                f"The answer may have {max_tokens} tokens, and at most {limit} can be explained. Set"
                " `max_tokens` to no more than that, or list the tokens to explain."
            )
            raise RequestError(message, param=param, code="invalid_value")
        return
    if not tokens:
        message = f"Invalid '{param}': empty array. List tokens, or leave `attribution` out."
        raise RequestError(message, param=param, code="empty_array")
    if len(tokens) > limit:
        message = f"{len(tokens)} tokens are listed, and at most {limit} can be explained."
        raise RequestError(message, param=param, code="array_above_max_length")
    for position, token in enumerate(tokens):
        if not -max_tokens <= token < max_tokens:
            side = "above_max" if token >= max_tokens else "below_min"
            message = (
                f"Invalid '{param}[{position}]': {token}. The answer has at most {max_tokens} tokens, from 0."
            )
            raise RequestError(message, param=f"{param}[{position}]", code=f"integer_{side}_value")
