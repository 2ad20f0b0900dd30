"""An answer as it is written: tokens from the engine in, text out."""

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator
from contextlib import aclosing

from steersman.types import (
    AppliedEdit,
    AttributionOptions,
    ChoiceAttribution,
    Feature,
    FeatureAttribution,
    FinishReason,
    SteeringReceipt,
    TokenAttribution,
    Usage,
)
from steersman_engine.edits import EditReport
from steersman_engine.engine import AttributionRequest, TokenEvent, TokenScores
from steersman_server.detokenizer import Detokenizer, decode
from steersman_server.plan import Plan
from steersman_server.served import ServedModel
from steersman_server.stop_strings import StopStrings


class Answer:
    """One answer. Read `deltas` to its end before anything else."""

    def __init__(self, plan: Plan, served: ServedModel) -> None:
        self._plan = plan
        self._served = served
        self._detokenizer = Detokenizer(served.tokenizer)
        self._stops = StopStrings(plan.stops)
        self._token_ids: list[int] = []
        self._ends: list[int] = []  # length of the text after each token
        self._reports: list[EditReport] = []
        self._num_chars = 0
        self.finish_reason: FinishReason | None = None
        """None until the answer is complete."""

    async def deltas(self) -> AsyncGenerator[str, None]:
        """A piece of text for each token, empty when the token completes none. Closing it cancels.

        Raises:
            EngineError: The engine failed.
        """
        text = ""
        async with aclosing(self._served.engine.generate(self._plan.generate)) as events:
            async for event in events:
                text = self._take(event)
                if self.finish_reason is not None:
                    break
                yield text
        assert self.finish_reason is not None
        yield text

    @property
    def usage(self) -> Usage:
        """What was computed, the tokens of a stop string included."""
        prompt, completion = len(self._plan.generate.prompt), len(self._token_ids)
        return Usage(prompt, completion, prompt + completion)

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens that make the text; those after a stop string's beginning do not."""
        if not self._stops.found:
            return tuple(self._token_ids)
        size = bisect_left(self._ends, self._num_chars) + 1 if self._num_chars else 0
        return tuple(self._token_ids[:size])

    @property
    def steering(self) -> SteeringReceipt | None:
        """What the edits did; None without edits."""
        edits = self._plan.request.feature_edits
        if not edits:
            return None
        applied = zip(edits, self._plan.features, self._plan.generate.edits, self._reports, strict=True)
        return SteeringReceipt(
            bundle=self._served.bundle,
            edits=[
                AppliedEdit(
                    feature=edit.feature,
                    label=feature.label,
                    mode=edit.mode,
                    strength=edit.strength,
                    unit=edit.unit,
                    mul=affine.mul,
                    add=affine.add,
                    tokens_edited=report.tokens_edited,
                    mean_activation_before=report.mean_activation_before,
                )
                for edit, feature, affine, report in applied
            ],
        )

    async def attribution(self) -> list[ChoiceAttribution] | None:
        """The features behind the answer's tokens, under the same edits; None unless asked for.

        Tokens asked for that the answer ended before are left out.

        Raises:
            EngineError: The engine failed.
        """
        options = self._plan.request.attribution
        if options is None:
            return None
        answer = self.token_ids
        indices = tuple(index for index in self._plan.explained if index < len(answer))
        scores = await self._attribute(options, answer, indices) if indices else []
        named = {feature for token in scores for feature in (score.feature for score in token.features)}
        features = await asyncio.to_thread(self._served.catalog.features, sorted(named))
        by_index = {feature.index: feature for feature in features}
        return [
            ChoiceAttribution(
                choice=0,
                method=options.method,
                target=options.target,
                tokens=[self._explain(token, answer, by_index) for token in scores],
            )
        ]

    def _take(self, event: TokenEvent) -> str:
        """The text that one event adds; sets `finish_reason` when it is the last."""
        self._reports = event.reports
        if event.token_id is not None:
            piece = self._detokenizer.push(event.token_id)
            self._token_ids.append(event.token_id)
            self._ends.append((self._ends[-1] if self._ends else 0) + len(piece))
            text = self._stops.push(piece)
        else:
            text = self._stops.push(self._detokenizer.flush())
            self.finish_reason = event.finish
            if not self._stops.found:
                text += self._stops.flush()
        if self._stops.found:
            self.finish_reason = "stop"
        self._num_chars += len(text)
        return text

    async def _attribute(
        self, options: AttributionOptions, answer: tuple[int, ...], indices: tuple[int, ...]
    ) -> list[TokenScores]:
        request = AttributionRequest(
            prompt=self._plan.generate.prompt,
            answer=answer,
            edits=self._plan.generate.edits,
            tokens=indices,
            top_k=options.top_k,
            contrast=self._plan.contrast,
            method=options.method,
        )
        return await self._served.engine.attribute(request)

    def _explain(
        self, token: TokenScores, answer: tuple[int, ...], features: dict[int, Feature]
    ) -> TokenAttribution:
        return TokenAttribution(
            index=token.index,
            token=decode(self._served.tokenizer, [answer[token.index]]),
            objective=token.objective,
            features=[
                FeatureAttribution(
                    feature=score.feature,
                    label=features[score.feature].label,
                    attribution=score.attribution,
                    activation=score.activation,
                    h_max=features[score.feature].h_max,
                )
                for score in token.features
            ],
        )
