"""The answers to one request, and all that is said of them when they are complete."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice

from steersman.types import (
    ActivationOptions,
    ChoiceActivations,
    ChoiceAttribution,
    Moderation,
    SteeringReceipt,
    Usage,
)
from steersman_server.answers.activity import activations
from steersman_server.answers.answer import Answer, Piece
from steersman_server.answers.choices import Part, pieces_of
from steersman_server.answers.explanation import Explanation
from steersman_server.answers.receipt import receipt
from steersman_server.moderation.moderator import Admitted, Moderator, Text
from steersman_server.plans.plan import Plan
from steersman_server.served import ServedModel


@dataclass(slots=True)
class Work:
    """Answers under way, to one prompt or, for the older API, to several."""

    plans: Sequence[Plan]
    answers: list[Answer]
    """Those of the first plan, then those of the next."""
    served: ServedModel
    explanations: Sequence[Explanation | None]
    """One for each plan."""
    watch: ActivationOptions | None
    admitted: Admitted | None = None
    """Set once moderation has looked at what came in."""
    explained_s: tuple[float, float] | None = None
    """When the explanations began and ended, by `time.monotonic`."""

    @classmethod
    def of(
        cls,
        plans: Sequence[Plan],
        served: ServedModel,
        explanations: Sequence[Explanation | None],
        watch: ActivationOptions | None = None,
    ) -> "Work":
        """Ready to begin."""
        answers = [
            Answer(request, plan.stops, served.engine, served.tokenizer, plan.calling)
            for plan in plans
            for request in plan.requests
        ]
        return cls(plans, answers, served, explanations, watch)

    async def admit(self, moderator: Moderator, texts: Sequence[Text]) -> None:
        """Let moderation look at what came in, and at the answers as they are written.

        Raises:
            RequestError: It blocks the request.
        """
        self.admitted = await moderator.admit(texts)
        for answer in self.answers:
            answer.guard = self.admitted.guard()

    def pieces(self) -> AsyncGenerator[Part, None]:
        """The pieces of all answers, as they come."""
        return pieces_of(self.answers)

    async def whole(self) -> list[Piece]:
        """Each answer in one piece.

        Raises:
            EngineError: The engine failed.
        """
        wholes = [Piece() for _ in self.answers]
        texts: list[list[str]] = [[] for _ in self.answers]
        async with aclosing(self.pieces()) as parts:
            async for index, piece in parts:
                texts[index].append(piece.text)
                wholes[index].calls += piece.calls
                wholes[index].logprobs += piece.logprobs
                wholes[index].features += piece.features
        for whole, parts_of in zip(wholes, texts, strict=True):
            whole.text = "".join(parts_of)
        return wholes

    def usage(self) -> Usage:
        """As of now: each prompt once, and every token computed."""
        prompt = sum(len(plan.prompt) for plan in self.plans)
        completion = sum(answer.num_tokens for answer in self.answers)
        return Usage(prompt, completion, prompt + completion)

    def steering(self) -> SteeringReceipt | None:
        """What the edits did, in all answers together."""
        return receipt(self.plans[0], self.answers, self.served)

    def receipts(self) -> list[SteeringReceipt]:
        """What the edits of each plan did, where there are any."""
        made, rest = [], iter(self.answers)
        for plan in self.plans:
            answers = list(islice(rest, len(plan.requests)))
            if (one := receipt(plan, answers, self.served)) is not None:
                made.append(one)
        return made

    def moderation(self) -> Moderation | None:
        """What moderation found, if anything."""
        assert self.admitted is not None
        plans = [plan for plan in self.plans for _ in plan.requests]
        return self.admitted.report(
            [answer.guard for answer in self.answers],
            [
                answer.reports[len(plan.steering.affine) :]
                for plan, answer in zip(plans, self.answers, strict=True)
            ],
        )

    async def attribution(self) -> list[ChoiceAttribution] | None:
        """Why, answer by answer; None unless asked for.

        Raises:
            EngineError: The engine failed.
        """
        each = [
            (explanation, plan)
            for plan, explanation in zip(self.plans, self.explanations, strict=True)
            for _ in plan.requests
        ]
        began = time.monotonic()
        found = [
            await explanation.explain(index, plan.prompt, answer.token_ids, plan.steering.affine, self.served)
            for index, ((explanation, plan), answer) in enumerate(zip(each, self.answers, strict=True))
            if explanation is not None
        ]
        if not found:
            return None
        self.explained_s = began, time.monotonic()
        return found

    async def activations(self, parts: Sequence[Part]) -> list[ChoiceActivations] | None:
        """What fires in some pieces; None unless asked for, or if nothing is known of them."""
        found = {index: piece.features for index, piece in parts if piece.features}
        return await activations(found, self.answers, self.served) if self.watch and found else None
