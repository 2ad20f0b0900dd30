"""What a line typed into the terminal chat means."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from steersman.types import FeatureEdit, Mode

HELP = """\
/search WORDS                       features whose label fits
/show FEATURE                       one feature and where it fires
/steer FEATURE STRENGTH [set|add|scale]
                                    steer the answers from now on; strength is in units of the
                                    feature's h_max, -1 to 1 say, or a factor for scale
/unsteer FEATURE, /clear            take back one edit, or all
/edits                              the edits in force
/plain                              the last question again without edits, with the same seed;
                                    the conversation goes on from the steered answer
/why on, /why off                   have the next answers attributed to features (slower, and the
                                    answers have at most 256 tokens), or not;
                                    an answer already given cannot be explained any more
/why [N]                            the features behind the last answer, or its token N in full
/reset                              forget the conversation; edits stay
/help, /quit                        this text; leave (as Ctrl-D does). Ctrl-C stops an answer.
//...                               a message that begins with a slash"""


@dataclass(frozen=True)
class Say:
    """A message to the model."""

    text: str


@dataclass(frozen=True)
class Steer:
    """Put this edit in force, in place of an earlier one of the feature."""

    edit: FeatureEdit


@dataclass(frozen=True)
class Unsteer:
    """Take back the edit of this feature."""

    feature: int


@dataclass(frozen=True)
class Search:
    """Find features."""

    query: str


@dataclass(frozen=True)
class Show:
    """Show one feature."""

    feature: int


@dataclass(frozen=True)
class Explain:
    """Show the features behind the last answer: an overview, or all of one token."""

    token: int | None


@dataclass(frozen=True)
class Attribute:
    """Ask for attribution from now on, or no longer."""

    on: bool


Bare = Literal["edits", "clear", "plain", "reset", "help", "quit"]
Line = Say | Steer | Unsteer | Search | Show | Explain | Attribute | Bare


def parse(line: str) -> Line | None:
    """What `line` asks for; None if it is blank.

    Raises:
        ValueError: It is a slash command that makes no sense.
    """
    text = line.strip()
    if not text.startswith("/") or text.startswith("//"):
        return Say(text.removeprefix("/")) if text else None
    name, *words = text[1:].split() or [""]
    if name in get_args(Bare):
        if words:
            raise ValueError(f"/{name} stands alone, without {' '.join(words)!r}.")
        return name  # type: ignore[return-value]  # one of Bare
    match name, words:
        case "steer", [feature, strength]:
            return Steer(_edit(feature, strength, "set"))
        case "steer", [feature, strength, mode]:
            return Steer(_edit(feature, strength, mode))
        case "unsteer", [feature]:
            return Unsteer(_index(feature))
        case "search", [_, *_]:
            return Search(" ".join(words))
        case "show", [feature]:
            return Show(_index(feature))
        case "why", []:
            return Explain(None)
        case "why", [("on" | "off") as state]:
            return Attribute(state == "on")
        case "why", [token]:
            return Explain(_index(token))
        case (("steer" | "unsteer" | "search" | "show" | "why"), _):
            raise ValueError(f"/{name} is used as follows:\n{_usage(name)}")
        case _:
            raise ValueError(f"There is no /{name}; /help lists what there is.")


def _edit(feature: str, strength: str, mode: str) -> FeatureEdit:
    for known in get_args(Mode):
        if mode == known:
            return FeatureEdit(_index(feature), _strength(strength), known)
    raise ValueError(f"Mode {mode!r}: give set, add or scale.")


def _index(word: str) -> int:
    if not word.isdecimal():
        raise ValueError(f"{word!r} is no index: give a whole number, 0 or more.")
    return int(word)


def _strength(word: str) -> float:
    try:
        strength = float(word)
    except ValueError:
        strength = math.nan
    if not math.isfinite(strength):
        raise ValueError(f"Strength {word!r}: give a number such as 0.6 or -1.")
    return strength


def _usage(name: str) -> str:
    return "\n".join(line for line in HELP.splitlines() if f"/{name}" in line)
