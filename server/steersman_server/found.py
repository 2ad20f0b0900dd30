"""What a check of the configuration has found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one check."""

    what: str
    status: Literal["ok", "warning", "FAILED"]
    text: str

    def __str__(self) -> str:
        return f"{self.what:11}{self.status:9}{self.text}"
