"""Strings that end an answer, wherever the pieces of its text are cut."""

from collections.abc import Sequence


class StopStrings:
    """Lets text through up to the first stop string; holds back what may be the start of one.

    The first is the one that ends first; of those the longest. So the result does not depend on
    how the text is cut into pieces.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """The text that is now known to be part of the answer."""
        text, self._held = self._held + piece, ""
        ends = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if ends:
            self.found = True
            return text[: min(ends)[1]]
        safe = len(text) - max((overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[safe:]
        return text[:safe]

    def flush(self) -> str:
        """What was held back, when no more text comes."""
        held, self._held = self._held, ""
        return held


def overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that `stop` starts with."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
