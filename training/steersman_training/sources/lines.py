"""Records of a text file, read where they stand: the file is scanned once and never held in memory."""

import json
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

Record = dict


class Lines(Sequence[Record]):
    """A JSONL file's records, or a plain text file's as `{"text": ...}`, parted by blank lines.

    `first`: only so many.
    """

    def __init__(self, path: Path, first: int | None = None) -> None:
        self.path, self.plain = path, path.suffix == ".txt"
        self._bounds = array("q")  # begin and end of each record, in bytes
        with path.open("rb") as lines:
            for begin, end in _spans(lines, joined=self.plain):
                self._bounds.extend((begin, end))
                if first is not None and len(self) >= first:
                    break
        self._file = os.open(path, os.O_RDONLY)

    def __len__(self) -> int:
        return len(self._bounds) // 2

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        begin, end = self._bounds[2 * index], self._bounds[2 * index + 1]
        text = os.pread(self._file, end - begin, begin).decode("utf-8", errors="replace")
        if self.plain:
            return {"text": text}
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"Record {index} of {self.path} is no JSON: {error}.") from error
        if not isinstance(record, dict):
            raise ValueError(f"Record {index} of {self.path} is no JSON object.")
        return record

    def __del__(self) -> None:
        if (file := getattr(self, "_file", None)) is not None:
            os.close(file)


def whole_records(text: str) -> Iterator[Record]:
    """The objects of a JSON array, up to where the text is cut off."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            record, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return
        yield record
        at = text.find("{", end)


def _spans(lines, *, joined: bool) -> Iterator[tuple[int, int]]:
    """Begin and end of each line that is not blank, or of each run of such lines."""
    at, begin = 0, None
    for line in lines:
        blank = not line.strip()
        if not blank and begin is None:
            begin = at
        if begin is not None and (blank or not joined):
            yield begin, at if blank else at + len(line)
            begin = None
        at += len(line)
    if begin is not None:
        yield begin, at
