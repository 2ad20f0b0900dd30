"""Who says what a text falls under: the rules, or an endpoint."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from steersman_catalog.moderation import Category
from steersman_catalog.moderation.rules import rule_evidence
from steersman_server.moderation.policy import Actions
from steersman_server.moderation.screens import RuleScreen, Screen

Scores = dict[Category, float]
"""Of the categories that a text falls under, 0 to 1."""
LONG = 20_000
"""Characters that are read on a thread of their own."""
RULES = "rules"


class JudgeError(Exception):
    """There is no judgement; the message is for the log."""


class Judge(Protocol):
    """Says what texts fall under."""

    name: str
    """As results show it."""

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        """Of each text.

        Raises:
            JudgeError: There is no answer.
        """
        ...

    def screen(self, actions: Actions) -> Screen:
        """What lets one answer through."""
        ...

    async def aclose(self) -> None:
        """Let go of connections."""
        ...


class RuleJudge:
    """The rules."""

    name = RULES

    async def judge(self, texts: Sequence[str]) -> list[Scores]:
        """Of each text; what is found is certain."""
        if sum(map(len, texts)) > LONG:
            return await asyncio.to_thread(self._judge, texts)
        return self._judge(texts)

    def screen(self, actions: Actions) -> Screen:
        """One that reads as the answer is written."""
        return RuleScreen(actions)

    async def aclose(self) -> None:
        """Nothing to let go of."""

    @staticmethod
    def _judge(texts: Sequence[str]) -> list[Scores]:
        return [dict.fromkeys(rule_evidence(text), 1.0) for text in texts]
