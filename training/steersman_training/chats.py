"""Chats to learn from, and which of them are for training, evaluation and labelling.

Every source is scanned once for what repeats, for splits and for lengths; then chats are read where they
stand, in any order, so that a set need not fit memory.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self, overload

import numpy as np
from rich.console import Console
from rich.progress import track

from steersman_training.sources.chat import SPLIT_PERCENT, Chat, Split
from steersman_training.sources.open import Source, open_source
from steersman_training.sources.repeats import NearRepeats, digest
from steersman_training.sources.spec import parse_sources

__all__ = ["Chat", "Chats", "Split", "read_chats"]

SPLITS = tuple(SPLIT_PERCENT)
CHARACTERS_A_TOKEN = 4.0  # roughly; it weighs only conversations that are cut against those that are not


_Found = tuple[int, int, int, int]  # part of the mix, record, split, characters


class _Part(Protocol):
    def chat(self, number: int) -> Chat | None: ...


class _InMemory:
    def __init__(self, chats: Sequence[Chat]) -> None:
        self.chats = chats

    def chat(self, number: int) -> Chat:
        return self.chats[number]


class Chats(Sequence[Chat]):
    """The chats of a mix of sources, without repeats."""

    def __init__(self, parts: Sequence[_Part], shares: Sequence[float], found: Iterable[_Found]) -> None:
        self._parts, self.shares = parts, tuple(shares)
        columns = np.array(list(found), np.int64).reshape(-1, 4).T
        self._part, self._number, self._split, self._characters = columns
        self.sha256 = ""
        """Of what all chats say; empty for chats that were given."""

    @classmethod
    def of(cls, chats: Sequence[Chat]) -> Self:
        """Chats that are in memory, as they are."""
        if isinstance(chats, cls):
            return chats
        found = ((0, number, SPLITS.index(chat.split), chat.characters) for number, chat in enumerate(chats))
        return cls([_InMemory(chats)], [1.0], found)

    @classmethod
    def scan(cls, sources: Sequence[Source]) -> Self:
        """All chats of `sources` that repeat none before them.

        Raises:
            ValueError: A record is no chat.
        """
        whole = hashlib.sha256()
        made = cls(sources, [source.spec.share for source in sources], _scan(sources, whole))
        made.sha256 = whole.hexdigest()
        return made

    def __len__(self) -> int:
        return len(self._number)

    @overload
    def __getitem__(self, index: int) -> Chat: ...
    @overload
    def __getitem__(self, index: slice) -> list[Chat]: ...
    def __getitem__(self, index: int | slice) -> Chat | list[Chat]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        chat = self._parts[self._part[index]].chat(int(self._number[index]))
        assert chat is not None, "The scan left it out."
        return chat

    def order(self, split: Split, *, seed: int, max_length: int) -> np.ndarray:
        """Indices of a split's chats in an order that `seed` fixes, mixed by the shares of their text.

        Text beyond `max_length` tokens, which is cut, does not count. A mix ends where its first part
        is used up: what followed would be another mix.

        Raises:
            ValueError: A part of the mix has no chats in the split.
        """
        rng = np.random.default_rng(seed)
        indices, due, ends = [], [], []
        for part, share in enumerate(self.shares):
            mine = np.flatnonzero((self._part == part) & (self._split == SPLITS.index(split)))
            if not len(mine) and len(self.shares) > 1:
                raise ValueError(f"Part {part + 1} of the mix has no chats for {split}: leave it out.")
            mine = rng.permutation(mine)
            length = np.minimum(self._characters[mine], max_length * CHARACTERS_A_TOKEN)
            read = np.cumsum(length) / share
            indices.append(mine)
            due.append(read - length / share / 2)
            ends.append(read[-1] if len(read) else 0.0)
        merged, at = np.concatenate(indices), np.concatenate(due)
        return merged[np.argsort(at, kind="stable")][: int((at < min(ends)).sum())]

    def characters(self, indices: np.ndarray) -> np.ndarray:
        """How long some chats are."""
        return self._characters[indices]


def read_chats(source: str, cache: Path) -> Chats:
    """The chats of a source or a mix, as `steersman harvest --help` names them.

    Raises:
        ValueError: There is no such source, or a record of it is no chat.
    """
    return Chats.scan([open_source(spec, cache) for spec in parse_sources(source)])


def _scan(sources: Sequence[Source], whole) -> Iterator[_Found]:
    seen: set[bytes] = set()
    near = NearRepeats() if any(source.spec.near is not None for source in sources) else None
    for part, source in enumerate(sources):
        console = Console(stderr=True)
        shown = f"Scanning {source.spec.place}"
        for number in track(range(len(source)), shown, console=console, transient=True):
            chat = source.chat(number)
            if chat is None or (key := digest(chat)) in seen:
                continue
            seen.add(key)
            if near is not None:
                part_seen = near.part_seen(chat)
                if source.spec.near is not None and part_seen >= source.spec.near:
                    continue
            whole.update(key)
            yield part, number, SPLITS.index(chat.split), chat.characters
