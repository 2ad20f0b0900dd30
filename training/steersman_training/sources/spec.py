"""What a source is called: `PLACE[,option=value...][@SHARE]`; ` + ` between the parts of a mix."""

import re
from dataclasses import dataclass

OPTIONS = ("first", "split", "config", "column", "near")
_OPTIONS_AT_END = re.compile(rf"^(.*?)((?:,(?:{'|'.join(OPTIONS)})=[^,@]*)*)(?:@([0-9.]+))?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """One part of a mix.

    Raises:
        ValueError: An option cannot be.
    """

    place: str
    """`sharegpt`, a file, or `hub:` and a data set's id or folder."""
    share: float = 1.0
    """Of the mix's text, in any unit."""
    first: int | None = None
    """Only so many records."""
    split: str = "train"
    """The hub's split."""
    config: str | None = None
    """The hub's configuration."""
    column: str | None = None
    """Where the text or the turns are, where the name does not say it."""
    near: float | None = None
    """Leave out what repeats so large a part of its 20-word runs from before."""

    def __post_init__(self) -> None:
        if not self.place:
            raise ValueError("A source has no name.")
        if self.share <= 0:
            raise ValueError(f"The share of {self.place} is {self.share:g}: it must be above 0.")
        if self.first is not None and self.first < 1:
            raise ValueError(f"first={self.first} of {self.place}: it must be 1 or more.")
        if self.near is not None and not 0 < self.near <= 1:
            raise ValueError(f"near={self.near:g} of {self.place}: it is a part, above 0 and at most 1.")


def parse_sources(text: str) -> list[SourceSpec]:
    """The parts of a mix.

    Raises:
        ValueError: A part cannot be read.
    """
    return [_parse(part.strip()) for part in text.split(" + ")]


def _parse(text: str) -> SourceSpec:
    found = _OPTIONS_AT_END.match(text)
    assert found is not None, "The first group takes anything."
    place, options, share = found.groups()
    given = dict(option.split("=", 1) for option in options.split(",")[1:])
    try:
        return SourceSpec(
            place=place,
            share=float(share) if share else 1.0,
            first=int(given["first"]) if "first" in given else None,
            split=given.get("split", "train"),
            config=given.get("config"),
            column=given.get("column"),
            near=float(given["near"]) if "near" in given else None,
        )
    except ValueError as error:
        raise ValueError(f"The source {text!r} cannot be read: {error}") from error
