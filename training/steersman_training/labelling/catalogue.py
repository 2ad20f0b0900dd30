"""A job's results as rows of a catalogue."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import steersman
from steersman_catalog import minilm
from steersman_catalog.rows import (
    EchoRow,
    EmbeddingRow,
    ExampleRow,
    FeatureRow,
    LabelRow,
    LogitRow,
    MapRow,
    NeighbourRow,
    PassageRow,
    Row,
    Side,
    TileRow,
    TokenRow,
    WordRow,
)
from steersman_catalog.vectors import quantize
from steersman_catalog.writer import write_catalog
from steersman_training.labelling.corpus import SPLITS
from steersman_training.labelling.job import PART_FEATURES
from steersman_training.labelling.labels import Label
from steersman_training.labelling.ledger_rows import ledger_rows
from steersman_training.labelling.lens import Lens
from steersman_training.labelling.moderation import moderation_rows
from steersman_training.labelling.moderation_rules import rule_rows
from steersman_training.labelling.protocols import Excerpt
from steersman_training.labelling.results import Results
from steersman_training.labelling.score_rows import run_rows, score_rows
from steersman_training.labelling.statistical import SPECIAL_SHARE
from steersman_training.labelling.summary import Rating
from steersman_training.labelling.trial_rows import trial_rows

FEW_DOCUMENTS = 10
"""A feature that fires in fewer has no label to be trusted."""
ALWAYS_ON = 0.5
OUTPUT_SCORE = 0.1
"""From here on a feature is flagged as one that writes the tokens its decoder row names."""
LOGITS = 8
SIDES: tuple[tuple[Side, bool], ...] = (("promoted", True), ("suppressed", False))


def write(results: Results, ratings: list[Rating], path: Path) -> None:
    """Write the catalogue in one step."""
    write_catalog(path, meta(results), Rows(results, ratings).all())


def meta(results: Results) -> dict[str, str]:
    """What the catalogue is of."""
    job = results.job
    values = {
        "version": steersman.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": job.subject.host.name,
        "model_fingerprint": job.subject.identity["model"],
        "layer": job.subject.host.layer,
        "d_sae": job.subject.sae.d_sae,
        "source": job.config.source,
        "max_length": job.config.max_length,
        "seed": job.config.seed,
        "sink_norm": job.subject.sink_norm,
        "documents": len(job.corpus.documents),
        "tokens": job.activations.num_tokens,
        "embedder": minilm.NAME,
        "embedding_dim": results.vectors.shape[1],
    }
    return {key: str(value) for key, value in values.items()}


class Rows:
    """Every table's rows; ids count up as rows are made."""

    def __init__(self, results: Results, ratings: list[Rating]) -> None:
        self._results, self._job = results, results.job
        self._ratings = {rating.feature: rating for rating in ratings}
        self._index = {document: number for number, document in enumerate(self._job.corpus.documents)}
        norms = self._job.subject.sae.decoder_norm
        self._norms = None if norms is None else norms.tolist()
        self._label_ids: dict[str, int] = {}
        self._num_examples = 0
        self._tokens: set[int] = set()
        self._passages: set[int] = set()

    def all(self) -> Iterator[Row]:
        """Everything; features first, then what hangs on them, then the texts they used."""
        for number in range(self._job.evidence_stage.parts):
            for evidence in self._job.evidence(number):
                feature = evidence.feature
                yield self._feature(feature)
                examples = [self._example(feature, excerpt, None) for excerpt in evidence.examples]
                silent = [self._example(feature, excerpt, "random") for excerpt in evidence.inactive]
                yield from (*examples, *silent)
                of = {e.id: row.example for e, row in zip(evidence.examples, examples, strict=True)}
                yield from self._labels(feature, of)
                shown = self._job.labels[feature]
                of = {e.id: row.example for e, row in zip(evidence.inactive, silent, strict=True)} | of
                label = self._label_ids[shown.id]
                yield from rule_rows(evidence, shown.draft.text, label, of)
                if feature in self._job.marks:
                    name = self._job.config.moderator
                    yield from moderation_rows(self._job.marks[feature], name, feature, label, of)
        yield from ledger_rows(self._job.root)
        yield from self._logits()
        yield from score_rows(self._results, self._ratings, self._label_ids)
        yield from self._trials()
        yield from self._relations()
        yield from self._texts()
        yield from run_rows(self._job.made)

    def _feature(self, feature: int) -> FeatureRow:
        facts = self._job.facts[feature].measured
        output = self._job.outputs.get(feature)
        flags = {
            "never_fired": facts.num_firings == 0,
            "few_firings": 0 < facts.num_documents < FEW_DOCUMENTS,
            "always_on": facts.density >= ALWAYS_ON,
            "special_tokens": facts.special_share >= SPECIAL_SHARE,
            "output": output is not None and output.output_score >= OUTPUT_SCORE,
        }
        return FeatureRow(
            feature=feature,
            h_max=facts.h_max,
            density=facts.density,
            mean_activation=facts.mean,
            num_documents=facts.num_documents,
            decoder_norm=None if self._norms is None else self._norms[feature],
            quantiles=list(facts.quantiles) or None,
            histogram=list(facts.histogram) or None,
            flags=[name for name, holds in flags.items() if holds],
        )

    def _example(self, feature: int, excerpt: Excerpt, tier: str | None) -> ExampleRow:
        document = self._index[excerpt.document]
        self._passages.add(document)
        acts = np.array(excerpt.activations)
        places = np.flatnonzero(acts)
        self._num_examples += 1
        return ExampleRow(
            example=self._num_examples - 1,
            feature=feature,
            passage=document,
            start=int(excerpt.id.rsplit(":", 1)[1]),
            length=len(excerpt.tokens),
            peak=excerpt.peak,
            role=excerpt.role,
            stratum=excerpt.stratum,
            tier=tier,
            places=places.tolist(),
            activations=acts[places].tolist(),
        )

    def _labels(self, feature: int, examples: dict[str, int]) -> Iterator[Row]:
        shown = self._job.labels[feature]
        for label in self._job.lines[feature]:
            if label.accepted:
                yield self._label(label, examples, shown=label is shown)
        for word in shown.draft.words:
            yield WordRow(feature=feature, text=word.text, weight=word.weight)

    def _label(self, label: Label, examples: dict[str, int], *, shown: bool) -> LabelRow:
        number = self._label_ids[label.id] = len(self._label_ids)
        draft = label.draft
        return LabelRow(
            label=number,
            feature=label.feature,
            text=draft.text,
            kind="none" if label.explainer == "rule" else draft.kind,
            explainer=label.explainer,
            model=draft.model or None,
            version=label.version,
            confidence=draft.confidence,
            examples=[examples[one] for one in draft.example_ids if one in examples],
            parent=None if label.parent is None else self._label_ids[label.parent],
            run=(self._job.explain_stage if label.parent is None else self._job.refine_stage).key,
            shown=shown,
        )

    def _logits(self) -> Iterator[LogitRow]:
        job = self._job
        lens = Lens(job.subject.host, job.subject.sae, job.text)
        for first in range(0, job.subject.sae.d_sae, PART_FEATURES):
            features = range(first, min(first + PART_FEATURES, job.subject.sae.d_sae))
            logits = lens.logits(features)
            for side, largest in SIDES:
                top = logits.topk(LOGITS, largest=largest)
                for row, feature in enumerate(features):
                    pairs = zip(top.indices[row].tolist(), top.values[row].tolist(), strict=True)
                    for rank, (token, value) in enumerate(pairs):
                        self._tokens.add(token)
                        yield LogitRow(
                            feature=feature, side=side, rank=rank, token=token, value=round(value, 4)
                        )

    def _relations(self) -> Iterator[Row]:
        found = self._results.relations
        live = self._job.live
        for space, (neighbours, similarity) in found.spaces.items():
            for feature in live:
                for rank in range(neighbours.shape[1]):
                    if similarity[feature, rank] > 0:
                        yield NeighbourRow(
                            feature=feature,
                            space=space,  # pyright: ignore[reportArgumentType]
                            rank=rank,
                            neighbour=int(neighbours[feature, rank]),
                            similarity=round(float(similarity[feature, rank]), 4),
                        )
        mass = [one.measured.mean * one.measured.density for one in self._job.facts]
        for group in found.echoes:
            head = max(group, key=lambda feature: mass[feature])
            yield from (EchoRow(feature=feature, echo=head) for feature in group)
        for feature, (x, y) in enumerate(found.place.round(4).tolist()):
            yield MapRow(feature=feature, x=x, y=y)
        vectors = quantize(found.vectors)
        for label in self._job.labels:
            yield EmbeddingRow(label=self._label_ids[label.id], embedding=vectors[label.feature].tolist())

    def _trials(self) -> Iterator[Row]:
        for row in trial_rows(self._results, self._label_ids):
            if isinstance(row, TileRow):
                self._passages.add(row.passage)
            yield row

    def _texts(self) -> Iterator[Row]:
        corpus = self._job.corpus
        for document in sorted(self._passages):
            tokens = corpus.token[corpus.starts[document] : corpus.starts[document + 1]].tolist()
            self._tokens.update(tokens)
            yield PassageRow(
                passage=document,
                document=corpus.documents[document],
                split=SPLITS[corpus.split[document]],  # pyright: ignore[reportArgumentType]
                tokens=tokens,
            )
        for token in sorted(self._tokens):
            yield TokenRow(token=token, text=self._job.text[token])
