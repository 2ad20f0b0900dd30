"""Objects that hold a lot, in one line for a prompt or a log."""

from collections.abc import Sequence

SHOWN = 4


def summary(name: str, what: str, items: Sequence[str]) -> str:
    """`name(what: item, item, … 3 more)`."""
    shown = list(items[:SHOWN])
    if len(items) > SHOWN:
        shown.append(f"… {len(items) - SHOWN} more")
    return f"{name}({what}{': ' if shown else ''}{', '.join(shown)})"
