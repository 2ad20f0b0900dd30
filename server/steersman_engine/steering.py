"""What requests do at the tap: each its own edits and conditions, all in one step.

`Steering` is one request's. `Tap` puts those of a whole batch side by side: their features' rows of
the SAE become one narrow encoder and one narrow decoder, so that steering costs two small products
however many requests are steered. A request's token is moved along its own features only; along the
others' it is moved by exactly zero. Tokens of requests without steering do not pass through here.

Shapes: `tokens` of the batch, `d_model`, `features` and `edits` of all its requests together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steersman_engine.conditions import Condition, ConditionTable, features_of
from steersman_engine.edits import AffineEdit, EditReport, EditRows, apply_edits
from steersman_engine.prompt import Prompt
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink


@dataclass(frozen=True)
class Steering:
    """What one request does at the tap, ready for any of its tokens."""

    edits: tuple[AffineEdit, ...]
    abort_when: tuple[Condition, ...]
    prompt: Prompt
    sink_norm: float
    features: list[int]
    """Edited, or read by a condition."""
    rows: EditRows

    @classmethod
    def of(
        cls,
        edits: tuple[AffineEdit, ...],
        prompt: Prompt,
        sae: SAE,
        sink_norm: float,
        abort_when: tuple[Condition, ...] = (),
    ) -> Self | None:
        """None when there is nothing to do."""
        if not edits and not abort_when:
            return None
        conditions = [edit.when for edit in edits if edit.when is not None] + list(abort_when)
        read = [feature for condition in conditions for feature in features_of(condition)]
        features = list(dict.fromkeys([edit.feature for edit in edits] + read))
        return cls(edits, abort_when, prompt, sink_norm, features, EditRows.gather(sae, features))

    def apply(self, x: Tensor, start: int = 0) -> tuple[Tensor, "Observed"]:
        """Steer positions of this request alone, `[pos, d_model]`, from `start` on."""
        steered, (observed,) = Tap([self]).apply(x, [Portion(self, start, start + len(x))])
        return steered, observed

    def covered(self, start: int, stop: int) -> Tensor:
        """Which edits are for which positions, conditions aside: bool `[stop - start, edits]`."""
        if start >= len(self.prompt):
            return self._in_answer.expand(stop - start, -1)
        inside = self._in_prompt[start:stop]
        return torch.cat([inside, self._in_answer.expand(stop - start - len(inside), -1)])

    @cached_property
    def _in_prompt(self) -> Tensor:
        covers = [edit.covers(self.prompt, 0, len(self.prompt)) for edit in self.edits]
        return torch.tensor(covers, dtype=torch.bool).reshape(len(self.edits), len(self.prompt)).T

    @cached_property
    def _in_answer(self) -> Tensor:
        return torch.tensor([[edit.in_generation for edit in self.edits]], dtype=torch.bool)

    @cached_property
    def prompt_keys(self) -> NDArray[np.uint64]:
        """What is done at each position of the prompt, as `Slots` compares it."""
        if not self.edits:
            return np.zeros(len(self.prompt), np.uint64)
        patterns, which = np.unique(self._in_prompt.numpy(), axis=0, return_inverse=True)
        keys = [self._key(pattern.tolist()) for pattern in patterns]
        return np.array(keys, np.uint64)[which.reshape(-1)]

    @cached_property
    def answer_key(self) -> int:
        """What is done at each position of the answer."""
        return self._key(self._in_answer[0].tolist())

    def _key(self, covered: Sequence[bool]) -> int:
        """A hash of what the covered edits do, the same for edits that do the same; 0 for none."""
        done: dict[int, list[tuple[float, float, str]]] = {}
        for edit, here in zip(self.edits, covered, strict=True):
            if not here or edit.is_probe:
                continue
            maps = done.setdefault(edit.feature, [])
            when = "" if edit.when is None else repr(edit.when)
            if maps and maps[-1][2] == when:
                mul, add, _ = maps.pop()
                maps.append((edit.mul * mul, edit.mul * add + edit.add, when))
            else:
                maps.append((edit.mul, edit.add, when))
        if not done:
            return 0
        return int.from_bytes(blake2b(repr(sorted(done.items())).encode(), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class Portion:
    """Positions `start` to `stop` of one request; they stand together in the batch."""

    steering: Steering
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Observed:
    """What happened to one portion."""

    reports: list[EditReport]
    """What each edit did here."""
    abort: tuple[int, int] | None
    """The first position where a condition of `abort_when` held, and the first that did there."""
    after: Tensor
    """Activations after edits, `[stop - start, features of the request]`; 0 at sinks."""


class Tap:
    """The steering of several requests, side by side."""

    def __init__(self, steerings: Sequence[Steering]) -> None:
        rows = [steering.rows for steering in steerings]
        self._rows = EditRows(
            torch.cat([r.W_enc for r in rows], dim=1),
            torch.cat([r.b_enc for r in rows]),
            torch.cat([r.threshold for r in rows]),
            torch.cat([r.W_dec for r in rows]),
        )
        self._sink_norm, self._device = steerings[0].sink_norm, rows[0].W_enc.device
        self._place: dict[int, _Place] = {}
        edits: list[tuple[AffineEdit, int]] = []  # and the feature's column
        levels: list[list[int]] = []
        conditions: list[tuple[Condition, dict[int, int]]] = []
        gates: list[tuple[int, int]] = []  # an edit, and the condition it waits for
        aborts: list[int] = []
        first_column = 0
        for steering in steerings:
            columns = {feature: first_column + i for i, feature in enumerate(steering.features)}
            first_edit, first_abort = len(edits), len(aborts)
            for edit in steering.edits:
                column = columns[edit.feature]
                level = sum(column == other for _, other in edits[first_edit:])
                levels += [[] for _ in range(level + 1 - len(levels))]
                levels[level].append(len(edits))
                if edit.when is not None:
                    gates.append((len(edits), len(conditions)))
                    conditions.append((edit.when, columns))
                edits.append((edit, column))
            for condition in steering.abort_when:
                aborts.append(len(conditions))
                conditions.append((condition, columns))
            self._place[id(steering)] = _Place(
                slice(first_column, first_column + len(columns)),
                slice(first_edit, len(edits)),
                slice(first_abort, len(aborts)),
            )
            first_column += len(columns)
        self._column_of = self._index([column for _, column in edits])
        self._mul = torch.tensor([edit.mul for edit, _ in edits], device=self._device)
        self._add = torch.tensor([edit.add for edit, _ in edits], device=self._device)
        # the edits of one feature compose in order: those of one level have distinct features
        self._levels = [self._index(level) for level in levels]
        self._conditions = ConditionTable(conditions, self._device)
        self._gated = self._index([edit for edit, _ in gates])
        self._gates = self._index([condition for _, condition in gates])
        self._aborts = self._index(aborts)

    def apply(self, x: Tensor, portions: Sequence[Portion]) -> tuple[Tensor, list[Observed]]:
        """The steered residual stream `[tokens, d_model]`, and what happened to each portion.

        The portions follow one another in `x`; each belongs to one of the steerings.
        """
        ordinary = ~is_sink(x, self._sink_norm)[:, None]
        edited = self._covered(len(x), portions) & ordinary
        h = self._rows.encode(x)
        holds = self._conditions.hold(h)
        if len(self._gated):
            edited[:, self._gated] &= holds[:, self._gates]
        mul, add = self._maps(edited, h)
        after = torch.where(ordinary, mul * h + add, 0)
        aborts = (holds & ordinary)[:, self._aborts]
        steered = apply_edits(x, self._rows, h, mul, add)
        return steered, self._observed(portions, h, edited, after, aborts)

    def _covered(self, num_tokens: int, portions: Sequence[Portion]) -> Tensor:
        """Which edits are for which tokens, conditions and sinks aside: bool `[tokens, edits]`."""
        covered = torch.zeros(num_tokens, len(self._column_of), dtype=torch.bool)
        for portion, here in zip(portions, _slices(portions), strict=True):
            mine = self._place[id(portion.steering)].edits
            covered[here, mine] = portion.steering.covered(portion.start, portion.stop)
        return covered.to(self._device)

    def _maps(self, edited: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The composed map of each feature at each token; (1, 0) where nothing is to be done."""
        mul, add = torch.ones_like(h), torch.zeros_like(h)
        for level in self._levels:
            columns, here, factor = self._column_of[level], edited[:, level], self._mul[level]
            mul[:, columns] = torch.where(here, factor * mul[:, columns], mul[:, columns])
            add[:, columns] = torch.where(here, factor * add[:, columns] + self._add[level], add[:, columns])
        return mul, add

    def _observed(
        self, portions: Sequence[Portion], h: Tensor, edited: Tensor, after: Tensor, aborts: Tensor
    ) -> list[Observed]:
        if not portions:
            return []
        before = torch.where(edited, h[:, self._column_of], 0).double()
        starts = [here.start for here in _slices(portions)]
        counts = np.add.reduceat(edited.cpu().numpy(), starts, axis=0, dtype=np.int64)
        totals = np.add.reduceat(before.cpu().numpy(), starts, axis=0)
        fired = aborts.cpu().numpy()
        found = []
        for row, (portion, here) in enumerate(zip(portions, _slices(portions), strict=True)):
            place = self._place[id(portion.steering)]
            mine = zip(counts[row, place.edits].tolist(), totals[row, place.edits].tolist(), strict=True)
            where = np.argwhere(fired[here, place.aborts])
            abort = (portion.start + int(where[0][0]), int(where[0][1])) if len(where) else None
            found.append(Observed([EditReport(*one) for one in mine], abort, after[here, place.columns]))
        return found

    def _index(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=self._device)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one request's are among all."""

    columns: slice
    edits: slice
    aborts: slice


def _slices(portions: Sequence[Portion]) -> Iterator[slice]:
    at = 0
    for portion in portions:
        yield slice(at, at + portion.stop - portion.start)
        at += portion.stop - portion.start
