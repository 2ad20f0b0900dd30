"""The labelling job: what each step makes follows from the steps before, and is kept.

    documents → collect → measured, evidence → effects → explain → refine → score → relations

A `Job`'s steps are properties: the first look at one makes what is missing of it and of all it follows
from, and reads the rest. How a step does its work stands in the module whose names it uses.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from rich.progress import Progress

from steersman_training.chats import read_chats
from steersman_training.documents import documents
from steersman_training.labelling.activations import Activations, Block
from steersman_training.labelling.causal import Causal, Output
from steersman_training.labelling.collect import collect_part, num_parts
from steersman_training.labelling.config import LabelConfig
from steersman_training.labelling.corpus import SPLIT_PERCENT, SPLITS, TILE_TOKENS, Corpus
from steersman_training.labelling.effects import EffectMaker
from steersman_training.labelling.evidence import EvidenceMaker
from steersman_training.labelling.judges import Embed, EmbeddingJudge, LexicalJudge
from steersman_training.labelling.labels import Label, failed, label_vectors, nearest, never_fired
from steersman_training.labelling.lens import Lens
from steersman_training.labelling.measure import Background, Measured, measure
from steersman_training.labelling.moderation import Mark, Moderator, Sample
from steersman_training.labelling.progress import run_stage
from steersman_training.labelling.protocols import Effects, Explainer, FeatureEvidence, Judge, LabelDraft
from steersman_training.labelling.questions import Passages, QuestionMaker
from steersman_training.labelling.refine import Refiner
from steersman_training.labelling.stage import Stage, packed, packed_arrays
from steersman_training.labelling.statistical import SPECIAL_SHARE, StatisticalExplainer
from steersman_training.labelling.subject import Subject
from steersman_training.labelling.tiles import DRAWN, Drawn, draw_tiles
from steersman_training.labelling.token_text import TokenText
from steersman_training.labelling.word_facts import WordFacts, pack_words, read_words

PART_FEATURES = 256
PART_TILES = 512
PART_EFFECTS = 16
BACKGROUND_TILES = 1000
"""Explain tiles to which judges compare a lone text."""


class FeatureFacts(Struct, frozen=True):
    """What is counted of a feature, and the tiles its trials are made of."""

    measured: Measured
    drawn: Drawn


class Job:
    """One SAE's labels in one folder; `root` holds the steps, `subject` and `embed` do the work."""

    def __init__(
        self,
        root: Path,
        config: LabelConfig,
        subject: Subject,
        embed: Embed,
        *,
        explainer: Explainer | None = None,
        paid_judge: Judge | None = None,
        moderator: Moderator | None = None,
        corpus: Callable[[], Corpus] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`paid_judge`: the one that the configuration names and that is not free.

        `moderator`: marks features besides the rules.

        `corpus`: where the documents come from, instead of the configuration's source.
        """
        self.root, self.config, self.subject, self.embed = root, config, subject, embed
        self.explainer: Explainer = explainer or StatisticalExplainer()
        self.progress = progress
        self._paid_judge = paid_judge
        self.moderator = moderator
        self.made: list[Stage] = []
        """The steps made or read so far."""
        self._corpus_of = corpus or self._read_source

    # What the documents are, and what fires on them

    @cached_property
    def document_stage(self) -> Stage:
        """The rendered documents."""
        config, identity = self.config, self.subject.identity
        inputs = {
            "version": 1,
            "source": source_identity(config.source),
            "tokens": config.tokens,
            "max_length": config.max_length,
            "seed": config.seed,
            "template": identity["template"],
            "model": identity["model"],
            "splits": SPLIT_PERCENT,
            "tile": TILE_TOKENS,
        }
        return self._made("documents", 1, inputs, lambda _: self._corpus_of().packed())

    @cached_property
    def corpus(self) -> Corpus:
        """The documents."""
        return Corpus.read(self.document_stage)

    @cached_property
    def activations(self) -> Activations:
        """Every firing."""
        subject, config, corpus = self.subject, self.config, self.corpus
        inputs = {"version": 1, "documents": self.document_stage.key, "batch_tokens": config.batch_tokens}
        stage = self._made(
            "collect",
            num_parts(corpus),
            {**inputs, **subject.identity},
            lambda number: collect_part(
                subject.host,
                subject.sae,
                corpus,
                number,
                sink_norm=subject.sink_norm,
                batch_tokens=config.batch_tokens,
            ),
        )
        return Activations(corpus, stage)

    @cached_property
    def text(self) -> TokenText:
        """What tokens read like."""
        return TokenText(self.subject.tokenizer)

    @cached_property
    def words(self) -> WordFacts:
        """Whole words."""
        inputs = {"version": 1, "documents": self.document_stage.key}
        stage = self._made("words", 1, inputs, lambda _: pack_words(self.subject.tokenizer, self.corpus))
        return WordFacts.of(self.corpus, read_words(stage), self.activations.counted)

    @cached_property
    def background(self) -> Background:
        """What all tokens are like."""
        vocab = self.subject.host.W_U.shape[0]
        return Background.of(self.activations, self.text.word_like(self.corpus.token, vocab))

    # What is known of each feature

    @cached_property
    def fact_stage(self) -> Stage:
        """Counts and drawn tiles."""
        inputs = {"version": 1, "collect": self.activations.key, "seed": self.config.seed, "drawn": DRAWN}
        return self._made("measure", self._num_parts, inputs, lambda n: packed(self._facts(self._block(n))))

    @cached_property
    def facts(self) -> list[FeatureFacts]:
        """Of every feature, by index."""
        return [one for part in self.fact_stage.read_all(list[FeatureFacts]) for one in part]

    @cached_property
    def h_max(self) -> np.ndarray:
        """Largest activation of every feature `[d_sae]`; 0 where it never fired."""
        return np.array([one.measured.h_max for one in self.facts], np.float32)

    @cached_property
    def live(self) -> list[int]:
        """Features that are labelled: those that fire, or of them those with the most activation mass."""
        mass = np.array([one.measured.mean * one.measured.density for one in self.facts])
        order = np.argsort(-mass, kind="stable")[: self.config.features]
        return sorted(feature for feature in order.tolist() if self.h_max[feature] > 0)

    @cached_property
    def evidence_stage(self) -> Stage:
        """What explainers see."""
        inputs = {"version": 4, "collect": self.activations.key, "seed": self.config.seed}
        lens = cached(lambda: Lens(self.subject.host, self.subject.sae, self.text))
        facts = self.facts

        def part(number: int) -> bytes:
            maker = EvidenceMaker(
                self.activations, self.words, self.background, self.text, lens(), self.config.seed
            )
            block = self._block(number)
            return packed(maker.make(block, [facts[f].measured for f in block.features]))

        return self._made("evidence", self._num_parts, inputs, part)

    def evidence(self, number: int) -> list[FeatureEvidence]:
        """Of the features in one part; those that live on signs come with their effects."""
        found: list[FeatureEvidence] = self.evidence_stage.read(number, list[FeatureEvidence])
        return [
            replace(one, effects=self.effects[one.feature]) if one.feature in self.effects else one
            for one in found
        ]

    @cached_property
    def causal(self) -> Causal:
        """Runs the blocks above the layer on edited residual streams."""
        subject = self.subject
        return Causal(subject.host, subject.sae, subject.tokenizer, subject.sink_norm, self.text)

    @cached_property
    def effects(self) -> dict[int, Effects]:
        """What the live features do that sit on special tokens, the template or signs."""
        special = [one for one in self.facts if one.measured.special_share >= SPECIAL_SHARE]
        routed = [one.measured.feature for one in special if one.measured.feature in self._live_set]
        inputs = {"version": 4, "evidence": self.evidence_stage.key, "routed": routed}

        def part(number: int) -> bytes:
            some = routed[number * PART_EFFECTS : (number + 1) * PART_EFFECTS]
            maker = EffectMaker(self.causal, self.corpus, self.config.seed)
            return packed([pair for pair in maker.make([self._evidence_of(f) for f in some]) if pair[1]])

        stage = self._made("effects", -(-len(routed) // PART_EFFECTS), inputs, part)
        found = stage.read_all(list[tuple[int, Effects]])
        return {feature: effects for part in found for feature, effects in part}

    @cached_property
    def outputs(self) -> dict[int, Output]:
        """What every live feature does to ordinary text."""
        inputs = {"version": 1, "measure": self.fact_stage.key, "features": self.config.features}
        h_max = np.where(np.isin(np.arange(len(self.h_max)), self.live), self.h_max, 0)

        def part(number: int) -> bytes:
            first = number * PART_FEATURES
            return packed(self.causal.outputs(range(first, min(first + PART_FEATURES, len(h_max))), h_max))

        stage = self._made("outputs", self._num_parts, inputs, part)
        return {one.feature: one for part in stage.read_all(list[Output]) for one in part}

    # Labels

    @cached_property
    def explain_stage(self) -> Stage:
        """The first labels."""
        inputs = {
            "version": 1,
            "evidence": self.evidence_stage.key,
            "explainer": [self.explainer.name, self.explainer.version],
            "effects": sorted(self.effects),
            "features": self.config.features,
        }
        blocks = self._blocks(self.explainer.batch_size)

        def part(number: int) -> bytes:
            return packed(self._explained([one for block in blocks[number] for one in self.evidence(block)]))

        return self._made("explain", len(blocks), inputs, part)

    @cached_property
    def drafts(self) -> list[Label]:
        """The first label of every feature, by index."""
        return [label for part in self.explain_stage.read_all(list[Label]) for label in part]

    @cached_property
    def background_tiles(self) -> np.ndarray:
        """Some explain tiles, to which judges compare a lone text."""
        random = np.random.default_rng([self.config.seed, 11])
        explain = np.flatnonzero(self.corpus.tile_split == SPLITS.index("explain"))
        return np.sort(random.permutation(explain)[:BACKGROUND_TILES])

    @cached_property
    def tile_vectors(self) -> np.ndarray:
        """Unit embedding of every tile that a judge may see, 0 of the rest `[tiles, d]`, float16."""
        asked = np.flatnonzero(self.corpus.tile_split != SPLITS.index("explain"))
        wanted = np.sort(np.concatenate([asked, self.background_tiles]))
        inputs = {"version": 2, "documents": self.document_stage.key, "background": BACKGROUND_TILES}

        def part(number: int) -> bytes:
            some = wanted[number * PART_TILES : (number + 1) * PART_TILES].tolist()
            vectors = self.embed([self.passages[tile].text for tile in some])
            return packed_arrays({"vectors": vectors.astype(np.float16)})

        stage = self._made("tiles", -(-len(wanted) // PART_TILES), inputs, part)
        parts = [stage.arrays(number)["vectors"] for number in range(stage.parts)]
        found = np.zeros((len(self.corpus.tiles), parts[0].shape[1]), np.float16)
        found[wanted] = np.concatenate(parts)
        return found

    @cached_property
    def passages(self) -> Passages:
        """Tiles as judges read them."""
        return Passages(self.corpus, self.text)

    def open_judge(self, name: str) -> Judge:
        """A judge by name."""
        if name == "embedding":
            return EmbeddingJudge(
                self.embed, self.tile_vectors, self.tile_vectors[self.background_tiles].astype(np.float32)
            )
        if name == "lexical":
            return LexicalJudge(self.passages[tile] for tile in self.background_tiles.tolist())
        if self._paid_judge is not None:
            return self._paid_judge
        raise ValueError(f"There is no judge {name!r}: embedding, lexical, claude, openai, export.")

    @cached_property
    def refine_stage(self) -> Stage:
        """Each label's line of revisions, chosen on dev documents by the first judge."""
        drafts = self.drafts
        judge = cached(lambda: self.open_judge(self.config.judges[0]))
        inputs = {
            "version": 1,
            "explain": self.explain_stage.key,
            "judge": [self.config.judges[0], self.config.llm],
            "rounds": self.config.refine_rounds,
        }
        neighbours = cached(lambda: self.label_neighbours(drafts))

        def part(number: int) -> bytes:
            block = self._block(number)
            maker = self.question_maker("dev", neighbours())
            names = [label.draft.text for label in drafts]
            refiner = Refiner(maker, self.passages, self.explainer, judge(), self.config.refine_rounds, names)
            asked = [drafts[f] for f in block.features if f in self._live_set]
            lines = refiner.refine(block, asked, {one.feature: one for one in self.evidence(number)})
            of = {line[0].feature: line for line in lines}
            return packed([of.get(f, [drafts[f]]) for f in block.features])

        return self._made("refine", self._num_parts, inputs, part)

    @cached_property
    def lines(self) -> list[list[Label]]:
        """Every label of every feature, by index, the oldest first."""
        return [line for part in self.refine_stage.read_all(list[list[Label]]) for line in part]

    @cached_property
    def labels(self) -> list[Label]:
        """The label that is shown of every feature: the last that was accepted."""
        return [[label for label in line if label.accepted][-1] for line in self.lines]

    @cached_property
    def marks(self) -> dict[int, tuple[Mark, ...]]:
        """What the moderator marks of the live features; where it gives no answer, nothing."""
        if self.moderator is None:
            return {}
        moderator = self.moderator
        inputs = {
            "version": 1,
            "evidence": self.evidence_stage.key,
            "labels": self.refine_stage.key,
            "moderator": [moderator.name, moderator.version],
        }
        blocks = self._blocks(moderator.batch_size)

        def part(number: int) -> bytes:
            evidence = [one for block in blocks[number] for one in self.evidence(block)]
            samples = [
                Sample(feature=one.feature, label=self.labels[one.feature].draft.text, examples=one.examples)
                for one in evidence
                if one.feature in self._live_set
            ]
            return packed(
                [(f, found) for f, found in moderator.moderate(samples) if isinstance(found, tuple)]
            )

        stage = self._made("moderate", len(blocks), inputs, part)
        return dict(pair for found in stage.read_all(list[tuple[int, tuple[Mark, ...]]]) for pair in found)

    def label_neighbours(self, labels: Sequence[Label]) -> np.ndarray:
        """The features with the nearest labels, nearest first `[d_sae, many]`."""
        vectors = label_vectors([label.draft.text for label in labels], self.embed)
        live = np.zeros(len(labels), bool)
        live[self.live] = True
        return nearest(vectors, live)

    def question_maker(self, split: Any, neighbours: np.ndarray) -> QuestionMaker:
        """Draws the questions of `dev` or `test`."""
        drawn = [one.drawn for one in self.facts]
        return QuestionMaker(self.corpus, split, drawn, self.tile_vectors, neighbours, self.config.seed)

    # How the steps are made

    @property
    def _num_parts(self) -> int:
        return -(-self.subject.sae.d_sae // PART_FEATURES)

    def _blocks(self, batch_size: int) -> list[range]:
        """Runs of parts that together hold about so many features: what one call likes to get."""
        step = max(1, batch_size // PART_FEATURES)
        return [range(n, min(n + step, self._num_parts)) for n in range(0, self._num_parts, step)]

    @cached_property
    def _live_set(self) -> set[int]:
        return set(self.live)

    def _evidence_of(self, feature: int) -> FeatureEvidence:
        part = self.evidence_stage.read(feature // PART_FEATURES, list[FeatureEvidence])
        return part[feature % PART_FEATURES]

    def _block(self, number: int) -> Block:
        first = number * PART_FEATURES
        return self.activations.block(first, min(first + PART_FEATURES, self.subject.sae.d_sae))

    def _made(self, name: str, parts: int, inputs: dict[str, Any], part: Callable[[int], bytes]) -> Stage:
        stage = run_stage(Stage(self.root, name, parts, inputs), part, self.progress)
        self.made.append(stage)
        return stage

    def _read_source(self) -> Corpus:
        config = self.config
        chats = read_chats(config.source, Path(config.cache_dir))
        stream = documents(
            chats, "labelling", self.subject.tokenizer, max_length=config.max_length, seed=config.seed
        )
        return Corpus.of(stream, tokens=config.tokens)

    def _facts(self, block: Block) -> list[FeatureFacts]:
        made = []
        for feature in block.features:
            where, value = block.of(feature)
            facts = measure(feature, where, value, self.corpus, self.background, self.activations.num_tokens)
            made.append(
                FeatureFacts(
                    facts, draw_tiles(feature, where, value, self.corpus, facts.h_max, self.config.seed)
                )
            )
        return made

    def _explained(self, evidence: Sequence[FeatureEvidence]) -> list[Label]:
        asked = [one for one in evidence if one.feature in self._live_set]
        found = dict(self.explainer.explain(asked)) if asked else {}
        rules = StatisticalExplainer()
        labels = []
        for one in evidence:
            draft = found.get(one.feature)
            if self.h_max[one.feature] == 0:
                labels.append(never_fired(one.feature))
            elif isinstance(draft, LabelDraft):
                labels.append(
                    Label(
                        id=f"{one.feature}.0",
                        feature=one.feature,
                        draft=draft,
                        explainer=self.explainer.name,
                        version=self.explainer.version,
                    )
                )
            else:
                labels.append(failed(one.feature, draft, rules.label(one), rules))
        return labels


def source_identity(source: str) -> str:
    """A file is told from another of its name by size and time of change."""
    path = Path(source)
    if not path.is_file():
        return source
    facts = path.stat()
    return f"{path.name}:{facts.st_size}:{facts.st_mtime_ns}"


def cached(make: Callable[[], Any]) -> Callable[[], Any]:
    """`make`, called once and only if asked."""
    found: list[Any] = []

    def get() -> Any:
        if not found:
            found.append(make())
        return found[0]

    return get
