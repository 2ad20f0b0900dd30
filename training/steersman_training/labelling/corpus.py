"""The documents a catalogue is made from: which of them explain, choose and score, and their tiles.

Labels are made from *explain* documents, chosen on *dev* and scored on *test*. A conversation belongs
to one of the three by its id, and one that begins word for word as an earlier one does is left out,
so that no template that many people pasted is on two sides.

Shapes: `tokens` all tokens of all documents, one document after another. A *tile* is a run of
TILE_TOKENS tokens of one document. Trials are made of tiles: an activating and a silent one are cut by
the same rule, so nothing but their text tells them apart, and each is embedded once for all features.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import msgspec
import numpy as np

from steersman_engine.prompt import Kind
from steersman_training.documents import Document
from steersman_training.labelling.stage import Stage, packed_arrays
from steersman_training.sources.chat import conversation_of

SPLITS = ("explain", "dev", "test")
SPLIT_PERCENT = {"explain": 50, "dev": 20, "test": 30}
TILE_TOKENS = 32
SHORTEST_TILE = 16
SAME_HEAD = 64
"""Documents whose first so many tokens of content are equal count as the same."""


def split_of(document: str) -> int:
    """Index into SPLITS, by hash of the conversation."""
    digest = hashlib.sha256(b"labelling" + conversation_of(document).encode()).digest()
    percent = int.from_bytes(digest[:8], "big") % 100
    for index, name in enumerate(SPLITS):
        if percent < SPLIT_PERCENT[name]:
            return index
        percent -= SPLIT_PERCENT[name]
    raise AssertionError("Splits add up to 100 percent.")


@dataclass(frozen=True)
class Corpus:
    """Rendered documents one after another."""

    documents: list[str]
    """Ids of the chats."""
    starts: np.ndarray
    """Where each document begins, and where the last one ends `[documents + 1]`."""
    token: np.ndarray
    """Token ids `[tokens]`."""
    role: np.ndarray
    """Index into ROLES `[tokens]`."""
    kind: np.ndarray
    """A `Kind` `[tokens]`."""

    @classmethod
    def of(cls, stream: Iterable[Document], *, tokens: int) -> Self:
        """About `tokens` tokens of distinct documents, or all.

        Raises:
            ValueError: There are none.
        """
        kept: list[Document] = []
        heads: set[tuple[int, ...]] = set()
        total = 0
        for document in stream:
            prompt = document.prompt
            content = [
                t for t, kind in zip(prompt.token_ids, prompt.kinds, strict=True) if kind == Kind.CONTENT
            ]
            head = tuple(content[:SAME_HEAD])
            if not head or (len(head) == SAME_HEAD and head in heads):
                continue
            heads.add(head)
            kept.append(document)
            total += len(prompt)
            if total >= tokens:
                break
        if not kept:
            raise ValueError("The source has no chat in its labelling split: give one with more chats.")
        prompts = [document.prompt for document in kept]
        return cls(
            [document.id for document in kept],
            np.cumsum([0, *map(len, prompts)]).astype(np.int64),
            np.concatenate([np.array(prompt.token_ids, np.int32) for prompt in prompts]),
            np.concatenate([np.array(prompt.roles, np.uint8) for prompt in prompts]),
            np.concatenate([np.array(prompt.kinds, np.uint8) for prompt in prompts]),
        )

    def packed(self) -> bytes:
        """As a stage's part."""
        ids = np.frombuffer(msgspec.json.encode(self.documents), np.uint8)
        columns = {"starts": self.starts, "token": self.token, "role": self.role, "kind": self.kind}
        return packed_arrays({"documents": ids, **columns})

    @classmethod
    def read(cls, stage: Stage) -> Self:
        """What `packed` wrote."""
        columns = stage.arrays(0)
        ids = msgspec.json.decode(columns.pop("documents").tobytes(), type=list[str])
        return cls(ids, **columns)

    def head(self, tokens: int) -> "Corpus":
        """Its first documents, until there are `tokens` tokens."""
        count = min(len(self.documents), int(np.searchsorted(self.starts, tokens)))
        end = self.starts[count]
        return Corpus(
            self.documents[:count],
            self.starts[: count + 1],
            self.token[:end],
            self.role[:end],
            self.kind[:end],
        )

    @cached_property
    def split(self) -> np.ndarray:
        """Index into SPLITS of each document `[documents]`."""
        return np.array([split_of(document) for document in self.documents], np.uint8)

    @cached_property
    def conversation(self) -> np.ndarray:
        """Number of the conversation that each document is a part of `[documents]`."""
        _, number = np.unique([conversation_of(one) for one in self.documents], return_inverse=True)
        return number

    @cached_property
    def document_of(self) -> np.ndarray:
        """Document of each token `[tokens]`."""
        return np.repeat(np.arange(len(self.documents), dtype=np.int32), np.diff(self.starts))

    @cached_property
    def split_of_token(self) -> np.ndarray:
        """Split of each token `[tokens]`."""
        return self.split[self.document_of]

    @cached_property
    def position(self) -> np.ndarray:
        """Place of each token in its document `[tokens]`."""
        return np.arange(len(self.token)) - self.starts[self.document_of]

    @cached_property
    def tiles(self) -> np.ndarray:
        """First token and end of every tile `[tiles, 2]`, from each document's first content on."""
        content = np.flatnonzero(self.kind == Kind.CONTENT)
        first = content[np.searchsorted(content, self.starts[:-1])]
        bounds = []
        for begin, end in zip(first.tolist(), self.starts[1:].tolist(), strict=True):
            edges = list(range(begin, end, TILE_TOKENS))
            bounds += [
                (edge, min(edge + TILE_TOKENS, end))
                for edge in edges
                if min(edge + TILE_TOKENS, end) - edge >= SHORTEST_TILE
            ]
        return np.array(bounds, np.int64).reshape(-1, 2)

    @cached_property
    def tile_of(self) -> np.ndarray:
        """Tile of each token, or -1 outside all `[tokens]`."""
        found = np.full(len(self.token), -1, np.int32)
        for number, (begin, end) in enumerate(self.tiles.tolist()):
            found[begin:end] = number
        return found

    @cached_property
    def tile_split(self) -> np.ndarray:
        """Split of each tile `[tiles]`."""
        return self.split_of_token[self.tiles[:, 0]]

    @cached_property
    def tile_document(self) -> np.ndarray:
        """Document of each tile `[tiles]`."""
        return self.document_of[self.tiles[:, 0]]
