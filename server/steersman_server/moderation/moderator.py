"""The policy at work: requests are admitted, their answers screened, and what was found is reported."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from steersman.types import (
    FunctionTool,
    Message,
    Moderation,
    ModerationFailure,
    ModerationResult,
    ModerationResults,
)
from steersman_catalog.moderation import CATEGORIES, Category
from steersman_engine.edits import EditReport
from steersman_server.errors import RequestError
from steersman_server.moderation.judges import Judge, JudgeError, RuleJudge, Scores
from steersman_server.moderation.policy import NOTHING, Actions, OnFailure, Policy
from steersman_server.moderation.screens import Screen
from steersman_server.moderation.signals import Fired, Signals

log = logging.getLogger(__name__)

FAILED = ModerationFailure(code="moderation_unavailable", message="The moderation endpoint gave no answer.")


@dataclass(frozen=True, slots=True)
class Text:
    """A text that came in, and the field it stood in."""

    param: str
    text: str


def texts_of(messages: Sequence[Message], param: str = "messages") -> list[Text]:
    """What messages say, whoever says it, and what they call."""
    texts = [Text(f"{param}[{index}].content", message.text) for index, message in enumerate(messages)]
    for index, message in enumerate(messages):
        for place, call in enumerate(message.tool_calls or ()):
            where = f"{param}[{index}].tool_calls[{place}].function.arguments"
            texts.append(Text(where, call.function.arguments))
    return texts


def texts_of_tools(tools: Sequence[FunctionTool]) -> list[Text]:
    """What the model is told of tools."""
    encoded = (msgspec.json.encode(tool.function).decode() for tool in tools)
    return [Text(f"tools[{index}]", text) for index, text in enumerate(encoded)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderator:
    """What a server does about texts, for those it does it to."""

    policy: Policy = field(default_factory=Policy)
    judge: Judge = field(default_factory=RuleJudge)
    on_failure: OnFailure = "open"
    signals: Signals = field(default_factory=Signals)

    async def admit(self, texts: Sequence[Text]) -> "Admitted":
        """Look at what came in.

        Raises:
            RequestError: It falls under what is blocked, or nobody can say and that is not good enough.
        """
        if not self.policy.inputs:
            return Admitted(self)
        try:
            judged = await self.judge.judge([text.text for text in texts])
        except JudgeError as error:
            self.failed(error)
            if self.on_failure == "closed":
                raise RequestError(FAILED.message, code=FAILED.code) from error
            return Admitted(self, failed=True)
        scores: Scores = {}
        for text, found in zip(texts, judged, strict=True):
            for category, score in found.items():
                action = self.policy.inputs.of(category)
                if action == "block":
                    raise blocked(category, text.param)
                if action == "flag":
                    scores[category] = max(score, scores.get(category, 0.0))
        return Admitted(self, scores)

    def failed(self, error: JudgeError) -> None:
        """Write down that a judge failed."""
        log.warning("Moderation failed %s: %s", self.on_failure, error)


ALLOWED = Moderator(policy=NOTHING)
"""For those whose texts nobody looks at."""


def blocked(category: Category, param: str) -> RequestError:
    """The error for what may not come in."""
    message = f"This server does not take texts that its moderation finds to be about '{category}'."
    return RequestError(message, param=param, code=f"input_blocked_{category}")


@dataclass(slots=True)
class Admitted:
    """One request that was let in."""

    moderator: Moderator
    scores: Scores = field(default_factory=dict)
    failed: bool = False

    def guard(self) -> "Guard | None":
        """For one answer; None if nothing is looked at."""
        outputs = self.moderator.policy.outputs
        return Guard(self.moderator.judge.screen(outputs), self.moderator) if outputs else None

    def report(
        self, guards: Sequence["Guard | None"], reports: Sequence[Sequence[EditReport]]
    ) -> Moderation | None:
        """What was found, if anything. `reports`: of the signals' probes, answer by answer."""
        name, signals, policy = self.moderator.judge.name, self.moderator.signals, self.moderator.policy
        came_in = [result(name, self.scores)]
        went_out = []
        for choice, (guard, probed) in enumerate(zip(guards, reports, strict=True)):
            if guard is not None:
                went_out.append(result(name, guard.screen.scores, choice, blocked=guard.screen.blocked))
            fired_in, fired_out = signals.fired(probed)
            if choice == 0:
                came_in += _signal_results(fired_in, policy.inputs)
            went_out += _signal_results(fired_out, policy.outputs, choice)
        output_failed = any(guard is not None and guard.failed for guard in guards)
        made = Moderation(
            input=FAILED if self.failed else _results(name, came_in),
            output=FAILED if output_failed else _results(name, went_out),
        )
        found = [one for side in (made.input, made.output) for one in getattr(side, "results", [side])]
        return made if found else None


class Guard:
    """A screen, and what becomes of an answer that nobody can judge."""

    def __init__(self, screen: Screen, moderator: Moderator) -> None:
        self.screen = screen
        self.failed = False
        self._moderator = moderator

    async def push(self, piece: str, *, last: bool) -> str:
        """The text that may now be shown. An answer that could not be judged is not judged again."""
        if self.failed:
            return piece
        try:
            return await self.screen.push(piece, last=last)
        except JudgeError as error:
            self.failed = True
            self._moderator.failed(error)
            return "" if self.ends else self.screen.unjudged()

    @property
    def ends(self) -> bool:
        """Whether nothing more of the answer may be shown."""
        closed = self._moderator.on_failure == "closed" and self._moderator.policy.outputs.blocks
        return self.screen.blocked is not None or (self.failed and closed)


def result(
    model: str,
    scores: Scores,
    choice: int | None = None,
    *,
    features: Iterable[int] = (),
    blocked: Category | None = None,
) -> ModerationResult:
    """What one judge found."""
    return ModerationResult(
        model=model,
        flagged=bool(scores),
        categories={category: category in scores for category in CATEGORIES},
        category_scores={category: scores.get(category, 0.0) for category in CATEGORIES},
        category_applied_input_types={category: ["text"] for category in CATEGORIES},
        choice=choice,
        features=list(features),
        blocked=blocked,
    )


def _results(model: str, results: list[ModerationResult]) -> ModerationResults:
    return ModerationResults(model=model, results=[one for one in results if one.flagged])


def _signal_results(
    fired: Sequence[Fired], actions: Actions, choice: int | None = None
) -> list[ModerationResult]:
    """A result for the features that fired, of categories about which anything is done."""
    told = [one for one in fired if actions.of(one.category) != "off"]
    scores: Scores = {}
    for one in told:
        scores[one.category] = max(one.share, scores.get(one.category, 0.0))
    return [result("features", scores, choice, features=(one.feature for one in told))] if told else []
