"""A catalogue as Neuronpedia's bulk files."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from steersman_catalog.neuronpedia_format import (
    LabelNotes,
    NeuronpediaActivation,
    NeuronpediaExplanation,
    NeuronpediaFeature,
    write,
)
from steersman_catalog.snapshot import Snapshot

FEATURES = """
SELECT features.feature, h_max, density, coalesce(histogram, []) AS histogram, x, y,
    coalesce(near.neighbours, []) AS neighbours, coalesce(near.similarities, []) AS similarities
FROM features
LEFT JOIN map ON map.feature = features.feature
LEFT JOIN (
    SELECT feature, list(neighbour ORDER BY rank) AS neighbours,
        list(similarity ORDER BY rank) AS similarities
    FROM neighbours WHERE space = 'decoder' GROUP BY feature
) AS near ON near.feature = features.feature
ORDER BY features.feature
"""
LOGITS = """
SELECT feature, side, list(text ORDER BY rank) AS texts, list(value ORDER BY rank) AS values
FROM logits JOIN vocabulary USING (token) GROUP BY feature, side
"""
LABELS = """
SELECT label, feature, text, kind, explainer, model, version, confidence, shown,
    strftime(created, '%Y-%m-%dT%H:%M:%SZ') AS created
FROM labels ORDER BY feature, label
"""
EXAMPLES = """
SELECT example, feature, document, tokens[examples.start + 1:examples.start + length] AS tokens, peak,
    stratum, places, activations, h_max
FROM examples JOIN passages USING (passage) JOIN features USING (feature)
WHERE tier IS NULL AND feature >= $first AND feature < $last AND example NOT IN (
    SELECT id FROM moderation WHERE subject = 'example' AND action <> 'mark')
ORDER BY feature, activations[list_position(places, peak)] DESC, example
"""
STRATA = 5
BLOCK = 512
"""Features whose examples are read at a time."""


def export_neuronpedia(path: Path, folder: Path, *, model: str = "", source: str = "") -> None:
    """Write the folder that Neuronpedia imports; distractors and what moderation hides are left out.

    `model` and `source` are Neuronpedia's ids, by default the catalogue's model and `<layer>-steersman`.

    Raises:
        FileExistsError: `folder` exists.
        ValueError: `path` is no catalogue that can be read.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists: remove it, or choose another folder.")
    snapshot = Snapshot.open(path)
    lines = _Lines(
        snapshot,
        model or snapshot.meta.get("model", "unknown"),
        source or f"{snapshot.meta.get('layer', '0')}-steersman",
    )
    write(folder, "features", lines.features())
    write(folder, "explanations", lines.explanations())
    write(folder, "activations", lines.activations())


class _Lines:
    def __init__(self, snapshot: Snapshot, model: str, source: str) -> None:
        self._snapshot = snapshot
        self._ids: dict[str, Any] = {"model": model, "source": source}
        self._created = snapshot.meta.get("created", datetime.now(UTC).isoformat(timespec="seconds"))
        self._texts = {row["token"]: row["text"] for row in snapshot.rows("FROM vocabulary")}

    def features(self) -> Iterator[tuple[int, NeuronpediaFeature]]:
        sides: dict[tuple[int, str], dict[str, Any]] = {
            (row["feature"], row["side"]): row for row in self._snapshot.rows(LOGITS)
        }
        none = {"texts": [], "values": []}
        for row in self._snapshot.rows(FEATURES):
            feature, bins = row["feature"], row["histogram"]
            promoted = sides.get((feature, "promoted"), none)
            suppressed = sides.get((feature, "suppressed"), none)
            yield (
                feature,
                NeuronpediaFeature(
                    **self._ids,
                    index=str(feature),
                    h_max=row["h_max"],
                    density=row["density"],
                    bin_heights=bins,
                    bin_starts=[row["h_max"] * place / len(bins) for place in range(len(bins))],
                    promoted=promoted["texts"],
                    promoted_values=promoted["values"],
                    suppressed=suppressed["texts"],
                    suppressed_values=suppressed["values"],
                    neighbours=row["neighbours"],
                    similarities=row["similarities"],
                    x=row["x"],
                    y=row["y"],
                    created=self._created,
                ),
            )

    def explanations(self) -> Iterator[tuple[int, NeuronpediaExplanation]]:
        for row in self._snapshot.rows(LABELS):
            notes = LabelNotes(row["kind"], row["shown"], row["version"], row["confidence"])
            yield (
                row["feature"],
                NeuronpediaExplanation(
                    **self._ids,
                    id=f"steersman-{row['label']}",
                    index=str(row["feature"]),
                    text=row["text"],
                    explainer=row["explainer"],
                    language_model=row["model"],
                    notes=msgspec.json.encode(notes).decode(),
                    created=row["created"],
                ),
            )

    def activations(self) -> Iterator[tuple[int, NeuronpediaActivation]]:
        for first in range(0, len(self._snapshot.overview), BLOCK):
            for row in self._snapshot.rows(EXAMPLES, first=first, last=first + BLOCK):
                yield row["feature"], self._activation(row)

    def _activation(self, row: dict[str, Any]) -> NeuronpediaActivation:
        values = [0.0] * len(row["tokens"])
        for place, activation in zip(row["places"], row["activations"], strict=True):
            values[place] = activation
        return NeuronpediaActivation(
            **self._ids,
            id=f"steersman-{row['example']}",
            index=str(row["feature"]),
            tokens=[self._texts[token] for token in row["tokens"]],
            values=values,
            h_max=max(values),
            peak=row["peak"],
            least=min(values),
            document=row["document"],
            data_source=self._snapshot.meta.get("source"),
            bin_start=row["h_max"] * row["stratum"] / STRATA,
            bin_end=row["h_max"] * (row["stratum"] + 1) / STRATA,
            created=self._created,
        )
