"""An answer's text on its way out: let through, held back while it may become a finding, or cut off."""

from typing import Protocol

from steersman_catalog.moderation import CATEGORIES, Category
from steersman_catalog.moderation.rules import RuleReader
from steersman_server.moderation.policy import Actions


class Screen(Protocol):
    """Lets one answer's text through."""

    scores: dict[Category, float]
    """What it fell under so far, but for what the policy does nothing about."""
    blocked: Category | None
    """Why nothing more comes; or None."""

    async def push(self, piece: str, *, last: bool) -> str:
        """The text that may now be shown.

        Raises:
            JudgeError: Nobody could say; the text is held back.
        """
        ...

    def unjudged(self) -> str:
        """What is held back, which is then given up."""
        ...


class RuleScreen:
    """Holds back a word that is not complete, and phrases that a finding may begin with."""

    def __init__(self, actions: Actions) -> None:
        self.scores: dict[Category, float] = {}
        self.blocked: Category | None = None
        self._actions = actions
        self._blocked_if: list[Category] = [one for one in CATEGORIES if actions.of(one) == "block"]
        self._reader = RuleReader(self._blocked_if)
        self._held, self._shown = "", 0

    async def push(self, piece: str, *, last: bool) -> str:
        """The text that may now be shown: up to the phrase that completed a finding which blocks."""
        self._held += piece
        found = self._reader.push(piece)
        if last:
            found += self._reader.close()
        end = len(self._held)
        if self._blocked_if and not last:
            end = max(self._reader.safe - self._shown, 0)
        for finding in found:
            action = self._actions.of(finding.category)
            if action != "off":
                self.scores[finding.category] = 1.0
            if action == "block":
                self.blocked = finding.category
                end = max(finding.start - self._shown, 0)
                break
        text, self._held = self._held[:end], self._held[end:]
        self._shown += len(text)
        return text

    def unjudged(self) -> str:
        """What is held back."""
        text, self._held = self._held, ""
        return text
