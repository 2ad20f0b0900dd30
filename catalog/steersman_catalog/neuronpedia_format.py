"""Neuronpedia's bulk files: one JSON object a line, fields as in its database (as of September 2026).

A folder holds `features/`, `explanations/` and `activations/`, each with `batch-N.jsonl.gz`. An `index` is a
string; texts of tokens stand where a catalogue has ids.
"""

import gzip
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct, field

BATCH = 256
"""Features a file."""
KINDS = ("features", "explanations", "activations")


class NeuronpediaFeature(Struct, kw_only=True):
    """A line of `features/`: the fields that a catalogue knows."""

    model: str = field(name="modelId")
    source: str = field(name="layer")
    index: str
    h_max: float = field(name="maxActApprox", default=0.0)
    density: float = field(name="frac_nonzero", default=0.0)
    bin_heights: list[float] = field(name="freq_hist_data_bar_heights", default_factory=list)
    bin_starts: list[float] = field(name="freq_hist_data_bar_values", default_factory=list)
    promoted: list[str] = field(name="pos_str", default_factory=list)
    promoted_values: list[float] = field(name="pos_values", default_factory=list)
    suppressed: list[str] = field(name="neg_str", default_factory=list)
    suppressed_values: list[float] = field(name="neg_values", default_factory=list)
    neighbours: list[int] = field(name="topkCosSimIndices", default_factory=list)
    similarities: list[float] = field(name="topkCosSimValues", default_factory=list)
    x: float | None = field(name="umap_x", default=None)
    y: float | None = field(name="umap_y", default=None)
    created: str | None = field(name="createdAt", default=None)


class NeuronpediaExplanation(Struct, kw_only=True):
    """A line of `explanations/`."""

    id: str
    model: str = field(name="modelId")
    source: str = field(name="layer")
    index: str
    text: str = field(name="description")
    explainer: str | None = field(name="typeName", default=None)
    language_model: str | None = field(name="explanationModelName", default=None)
    notes: str | None = None
    """Ours hold `LabelNotes` as JSON."""
    created: str | None = field(name="createdAt", default=None)


class LabelNotes(Struct, forbid_unknown_fields=True):
    """What Neuronpedia has no field for."""

    kind: str
    shown: bool
    version: str | None = None
    confidence: str | None = None


class NeuronpediaActivation(Struct, kw_only=True):
    """A line of `activations/`."""

    id: str
    model: str = field(name="modelId")
    source: str = field(name="layer")
    index: str
    tokens: list[str]
    values: list[float]
    h_max: float = field(name="maxValue")
    peak: int = field(name="maxValueTokenIndex")
    least: float = field(name="minValue", default=0.0)
    document: str | None = field(name="dataIndex", default=None)
    data_source: str | None = field(name="dataSource", default=None)
    bin_start: float | None = field(name="binMin", default=None)
    bin_end: float | None = field(name="binMax", default=None)
    created: str | None = field(name="createdAt", default=None)


Line = TypeVar("Line", NeuronpediaFeature, NeuronpediaExplanation, NeuronpediaActivation)


def read(folder: Path, kind: str, line_type: type[Line]) -> Iterator[Line]:
    """Every line of a folder's `kind`, batch after batch; plain `.jsonl` files are read as well.

    Raises:
        ValueError: A line is not what it should be; the message names file and line.
    """
    decoder = msgspec.json.Decoder(line_type)
    files = [*(folder / kind).glob("*.jsonl.gz"), *(folder / kind).glob("*.jsonl")]
    for path in sorted(files, key=lambda path: (len(path.name), path.name)):
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield _decode(decoder, line, path, number)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from error


def write(folder: Path, kind: str, lines: Iterable[tuple[int, Line]]) -> None:
    """Write lines, each given with its feature and in their order, in batches of `BATCH` features."""
    (folder / kind).mkdir(parents=True)
    encoder = msgspec.json.Encoder()
    for batch, group in groupby(lines, key=lambda pair: pair[0] // BATCH):
        with gzip.GzipFile(folder / kind / f"batch-{batch}.jsonl.gz", "wb", mtime=0) as file:
            for _, line in group:
                file.write(encoder.encode(line) + b"\n")


def _decode(decoder: msgspec.json.Decoder[Line], line: bytes, path: Path, number: int) -> Line:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}, line {number}: {error}") from error
