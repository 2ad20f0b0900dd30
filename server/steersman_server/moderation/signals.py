"""Features whose firing is a sign of a category: counted by edits that change nothing.

A signal is a flag and no more: how well such features tell is measured in `docs/moderation.md`.
"""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct

from steersman_catalog import Catalog, UnknownFeatureError
from steersman_catalog.moderation import CATEGORIES, Category
from steersman_engine.conditions import Comparison
from steersman_engine.edits import AffineEdit, EditReport

MOST = 32
"""Each costs the engine a column of a product at every token."""
SHARE = 0.5
"""Of h_max, from which on a feature that the catalogue marks counts as firing."""


class Signal(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A feature that stands for a category where it is above `threshold`, in residual units."""

    category: Category
    feature: int
    threshold: float
    h_max: float = 0.0
    """To say how much it fired; from the catalogue."""


class SignalFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signals that were measured, of one bundle's features."""

    bundle: str
    signal: list[Signal]


@dataclass(frozen=True, slots=True)
class Fired:
    """A signal that was there."""

    category: Category
    feature: int
    share: float
    """Its mean activation where it fired, in units of h_max, at most 1."""


@dataclass(frozen=True, slots=True)
class Signals:
    """All that a server looks out for."""

    measured: tuple[Signal, ...] = ()
    """Out of a file."""
    marked: tuple[Signal, ...] = ()
    """By the catalogue."""

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Both, as many as there may be."""
        return (*self.measured, *self.marked)[:MOST]

    @property
    def probes(self) -> tuple[AffineEdit, ...]:
        """Two for each signal: one counts in the prompt, the other in the answer."""
        return tuple(
            AffineEdit(
                signal.feature,
                mul=1.0,
                add=0.0,
                in_prompt=in_prompt,
                in_generation=not in_prompt,
                when=Comparison(signal.feature, ">", signal.threshold),
            )
            for signal in self.signals
            for in_prompt in (True, False)
        )

    def fired(self, reports: Sequence[EditReport]) -> tuple[list[Fired], list[Fired]]:
        """Those that the probes' reports tell of, in the prompt and in the answer."""
        return list(self._fired(reports[::2])), list(self._fired(reports[1::2]))

    def _fired(self, reports: Sequence[EditReport]) -> Iterator[Fired]:
        for signal, report in zip(self.signals, reports, strict=True):
            if report.tokens_edited:
                share = report.mean_activation_before / signal.h_max if signal.h_max else 1.0
                yield Fired(signal.category, signal.feature, min(share, 1.0))


def marked_signals(catalog: Catalog) -> Iterator[Signal]:
    """The features that the catalogue marks, from half their h_max on; of categories that we know."""
    for feature, categories in catalog.marked().items():
        (known,) = catalog.features([feature], hidden=True)
        for category in CATEGORIES:
            if category in categories and known.h_max > 0:
                yield Signal(
                    category=category, feature=feature, threshold=SHARE * known.h_max, h_max=known.h_max
                )


def read_signals(path: Path, bundle: str, catalog: Catalog) -> Iterator[Signal]:
    """The signals of a file that `benchmarks/moderation.py` wrote.

    Raises:
        ValueError: It is something else, or for another bundle.
        OSError: It cannot be read.
    """
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), SignalFile)
        known = catalog.features([signal.feature for signal in found.signal], hidden=True)
    except (
        tomllib.TOMLDecodeError,
        UnicodeDecodeError,
        msgspec.ValidationError,
        UnknownFeatureError,
    ) as error:
        raise ValueError(f"{path} holds no signals: {error}") from error
    if found.bundle != bundle:
        raise ValueError(f"{path} is for the features of {found.bundle}; this server has {bundle}.")
    for signal, feature in zip(found.signal, known, strict=True):
        yield msgspec.structs.replace(signal, h_max=feature.h_max)
