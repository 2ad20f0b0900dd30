"""A catalogue from Neuronpedia's bulk files."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from steersman_catalog.neuronpedia_format import (
    LabelNotes,
    NeuronpediaActivation,
    NeuronpediaExplanation,
    NeuronpediaFeature,
    read,
)
from steersman_catalog.rows import (
    ExampleRow,
    FeatureRow,
    LabelRow,
    LogitRow,
    MapRow,
    NeighbourRow,
    PassageRow,
    Row,
    TokenRow,
)
from steersman_catalog.writer import write_catalog

STRATA = 5
SIDES = ("promoted", "suppressed")


def import_neuronpedia(folder: Path, path: Path, *, d_sae: int | None = None) -> int:
    """Write a catalogue from the folder of one source, and give its number of features.

    Features that the folder leaves out, up to `d_sae`, are flagged `not_imported`. Token ids are of the
    file's own, as Neuronpedia gives texts only; the mean activation is that of the histogram's bins, and
    documents are counted among the examples. A feature's newest explanation is shown, unless its notes
    say which.

    Raises:
        FileNotFoundError: The folder has no features.
        ValueError: A line is not what it should be, or features are of several sources.
    """
    if not (folder / "features").is_dir():
        raise FileNotFoundError(f"{folder} has no folder `features`: it is not one of Neuronpedia's sources.")
    importer = _Importer(folder)
    rows = importer.rows(d_sae)
    first = next(rows)  # which reads all features, and so knows of what they are
    write_catalog(path, importer.meta, _chain(first, rows))
    return importer.num_features


def _chain(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


class _Importer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tokens: dict[str, int] = {}
        self.num_features = 0
        self.meta: dict[str, str] = {}

    def rows(self, d_sae: int | None) -> Iterator[Row]:
        features = {int(line.index): line for line in read(self._folder, "features", NeuronpediaFeature)}
        if not features:
            raise FileNotFoundError(f"{self._folder} holds no features.")
        sources = {(line.model, line.source) for line in features.values()}
        if len(sources) > 1:
            raise ValueError(f"{self._folder} holds features of several sources: {sorted(sources)[:3]}.")
        ((model, source),) = sources
        self.num_features = max(max(features) + 1, d_sae or 0)
        self.meta = {
            "model": model,
            "layer": source.partition("-")[0],
            "neuronpedia_source": source,
            "d_sae": str(self.num_features),
            "source": "neuronpedia",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        documents: dict[int, set[str]] = {}
        yield from self._examples(features, documents)
        for index in range(self.num_features):
            line = features.get(index)
            yield _feature(index, line, len(documents.get(index, ())))
            if line is not None:
                yield from self._relations(index, line)
        yield from self._labels(features)
        for text, token in self._tokens.items():
            yield TokenRow(token=token, text=text)

    def _examples(
        self, features: dict[int, NeuronpediaFeature], documents: dict[int, set[str]]
    ) -> Iterator[Row]:
        for number, line in enumerate(read(self._folder, "activations", NeuronpediaActivation)):
            feature = int(line.index)
            if feature not in features or not any(value > 0 for value in line.values):
                continue
            document = line.document or line.id
            documents.setdefault(feature, set()).add(document)
            h_max = max(features[feature].h_max, line.h_max)
            places = [place for place, value in enumerate(line.values) if value > 0]
            yield PassageRow(
                passage=number,
                document=document,
                split="explain",
                tokens=[self._tokens.setdefault(text, len(self._tokens)) for text in line.tokens],
            )
            yield ExampleRow(
                example=number,
                feature=feature,
                passage=number,
                start=0,
                length=len(line.tokens),
                peak=line.peak,
                role="",
                stratum=min(int(line.h_max / h_max * STRATA), STRATA - 1),
                places=places,
                activations=[line.values[place] for place in places],
            )

    def _relations(self, index: int, line: NeuronpediaFeature) -> Iterator[Row]:
        lists = ((line.promoted, line.promoted_values), (line.suppressed, line.suppressed_values))
        for side, (texts, values) in zip(SIDES, lists, strict=True):
            for rank, (text, value) in enumerate(zip(texts, values, strict=True)):
                token = self._tokens.setdefault(text, len(self._tokens))
                yield LogitRow(feature=index, side=side, rank=rank, token=token, value=value)
        near = zip(line.neighbours, line.similarities, strict=True)
        others = [(other, value) for other, value in near if other != index]  # theirs begin with itself
        for rank, (other, value) in enumerate(others):
            yield NeighbourRow(feature=index, space="decoder", rank=rank, neighbour=other, similarity=value)
        if line.x is not None and line.y is not None:
            yield MapRow(feature=index, x=line.x, y=line.y)

    def _labels(self, features: dict[int, NeuronpediaFeature]) -> Iterator[LabelRow]:
        lines: dict[int, list[NeuronpediaExplanation]] = {}
        for line in read(self._folder, "explanations", NeuronpediaExplanation):
            if int(line.index) in features and line.text.strip():
                lines.setdefault(int(line.index), []).append(line)
        number = 0
        for feature in sorted(lines):
            of_feature = sorted(lines[feature], key=lambda line: line.created or "")
            notes = [_notes(line) for line in of_feature]
            marked = [place for place, note in enumerate(notes) if note is not None and note.shown]
            shown = marked[0] if marked else len(of_feature) - 1
            for place, (line, note) in enumerate(zip(of_feature, notes, strict=True)):
                yield LabelRow(
                    label=number,
                    feature=feature,
                    text=line.text.strip(),
                    kind=note.kind if note else "mixed",
                    explainer=line.explainer or "neuronpedia",
                    model=line.language_model,
                    version=note.version if note else None,
                    confidence=note.confidence if note else None,
                    created=_time(line.created),
                    shown=place == shown,
                )
                number += 1


def _feature(index: int, line: NeuronpediaFeature | None, num_documents: int) -> FeatureRow:
    if line is None:
        line, flags = NeuronpediaFeature(model="", source="", index=str(index)), ["not_imported"]
    else:
        flags = [] if line.h_max > 0 else ["never_fired"]
    counts = [int(height) for height in line.bin_heights]
    width = line.bin_starts[1] - line.bin_starts[0] if len(line.bin_starts) > 1 else 0.0
    weighted = sum(count * (start + width / 2) for count, start in zip(counts, line.bin_starts, strict=True))
    return FeatureRow(
        feature=index,
        h_max=line.h_max,
        density=line.density,
        mean_activation=weighted / sum(counts) if sum(counts) else 0.0,
        num_documents=num_documents,
        histogram=counts or None,
        flags=flags,
    )


def _notes(line: NeuronpediaExplanation) -> LabelNotes | None:
    try:
        return msgspec.json.decode(line.notes or "", type=LabelNotes)
    except msgspec.DecodeError:
        return None  # a person's


def _time(text: str | None) -> datetime:
    found = datetime.fromisoformat(text) if text else datetime.fromtimestamp(0, UTC)
    return found.astimezone(UTC).replace(tzinfo=None, microsecond=0)
