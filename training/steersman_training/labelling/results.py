"""The later steps of the job: scores, what they are worth without labels, and how features relate."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from steersman_training.labelling.job import Job, cached
from steersman_training.labelling.labels import label_vectors, nearest
from steersman_training.labelling.nulls import UnigramRule, shuffled
from steersman_training.labelling.questions import Test
from steersman_training.labelling.random_sae import random_sae
from steersman_training.labelling.relations import by_cosine, coactivation, echo_groups, flat_map
from steersman_training.labelling.score_part import PAID_TESTS, TESTS, ScorePart, Scorer
from steersman_training.labelling.scoring import Score
from steersman_training.labelling.stage import Stage, packed, packed_arrays
from steersman_training.labelling.subject import Subject

RANDOM_FEATURES = 200
RANDOM_TOKENS = 100_000
"""Read for the random SAE."""
FREE = ("embedding", "lexical", "rule")
"""What costs nothing, and so is asked everything, baselines for every feature included."""
PAID_BASELINES = 200
"""Features whose baselines a paid judge is asked about."""


class Relations(Struct, frozen=True):
    """Who is near whom; arrays are read from their stage's part."""

    spaces: dict[str, tuple[np.ndarray, np.ndarray]]
    """Neighbours and similarities `[d_sae, 10]` in each space."""
    echoes: list[list[int]]
    place: np.ndarray
    """In the plane `[d_sae, 2]`."""
    vectors: np.ndarray
    """Unit embedding of each shown label `[d_sae, d]`."""


class Results:
    """What comes of a job's labels."""

    def __init__(self, job: Job) -> None:
        self.job = job

    @cached_property
    def vectors(self) -> np.ndarray:
        """Unit embedding of each shown label `[d_sae, d]`."""
        return label_vectors([label.draft.text for label in self.job.labels], self.job.embed)

    @cached_property
    def neighbours(self) -> np.ndarray:
        """The features with the nearest shown labels `[d_sae, many]`."""
        live = np.zeros(len(self.job.labels), bool)
        live[self.job.live] = True
        return nearest(self.vectors, live)

    @property
    def judges(self) -> tuple[str, ...]:
        """Who answers trials: the job's judges, and the rule."""
        return (*self.job.config.judges, "rule")

    def score_stage(self, judge: str) -> Stage:
        """Every label's test before one judge, `rule` for the unigram rule."""
        job = self.job
        free = judge in FREE
        sample = job.live if free else self._sample(PAID_BASELINES)
        inputs = {
            "version": 1,
            "refine": job.refine_stage.key,
            "judge": judge,
            "baselines": len(sample),
            "llm": {} if free else job.config.llm,
        }
        opened = cached(lambda: job.open_judge(judge))
        rule = cached(lambda: UnigramRule(job.corpus, job.activations.counted))

        def part(number: int) -> bytes:
            block = job._block(number)
            scorer = self._scorer(block.features, sample, TESTS if free else PAID_TESTS)
            done = scorer.score_rule(rule(), block) if judge == "rule" else scorer.score(opened(), block)
            return packed(done)

        return job._made(f"score-{judge}", job._num_parts, inputs, part)

    @cached_property
    def scores(self) -> list[Score]:
        """All of them, baselines with labels `name:feature`."""
        found = []
        for judge in self.judges:
            for part in self.score_stage(judge).read_all(ScorePart):
                found += part.scores
        return found

    @cached_property
    def random(self) -> "Results":
        """The same job on an SAE of random directions, on fewer documents, with free judges alone."""
        job, subject = self.job, self.job.subject
        density = np.array([one.measured.density for one in job.facts])
        sae = random_sae(
            subject.host,
            job.corpus,
            density,
            RANDOM_FEATURES,
            sink_norm=subject.sink_norm,
            seed=job.config.seed,
        )
        stand_in = Subject(
            subject.host, subject.tokenizer, sae, f"random of {subject.sae_sha256}", subject.sink_norm
        )
        judges = tuple(judge for judge in job.config.judges if judge in FREE) or FREE[:1]
        corpus = job.corpus.head(RANDOM_TOKENS)
        config = replace(
            job.config,
            tokens=len(corpus.token),
            features=None,
            explainer="statistical",
            judges=judges,
            llm={},
        )
        return Results(
            Job(
                job.root / "random", config, stand_in, job.embed, corpus=lambda: corpus, progress=job.progress
            )
        )

    @cached_property
    def relations(self) -> Relations:
        """Neighbours, echo groups and the map."""
        job = self.job
        inputs = {"version": 1, "refine": job.refine_stage.key, "seed": job.config.seed}
        stage = job._made("relations", 1, inputs, lambda _: packed_arrays(self._related()))
        columns = stage.arrays(0)
        spaces = {
            name: (columns[f"{name}_neighbours"], columns[f"{name}_similarity"])
            for name in ("decoder", "label", "coactivation")
        }
        rows = job.subject.sae.W_dec.float().cpu().numpy()
        return Relations(
            spaces, echo_groups(*spaces["coactivation"], rows), columns["place"], columns["vectors"]
        )

    def _related(self) -> dict[str, np.ndarray]:
        job = self.job
        live = job.h_max > 0
        rows = job.subject.sae.W_dec.float().cpu().numpy()
        columns: dict[str, np.ndarray] = {"place": flat_map(rows, job.config.seed), "vectors": self.vectors}
        found: dict[str, Any] = {
            "decoder": by_cosine(rows, live),
            "label": by_cosine(self.vectors, live),
            "coactivation": coactivation(job.activations),
        }
        for name, (neighbours, similarity) in found.items():
            columns[f"{name}_neighbours"] = neighbours.astype(np.int32)
            columns[f"{name}_similarity"] = similarity.astype(np.float32)
        return columns

    def _scorer(self, features: range, sample: Sequence[int], tests: tuple[Test, ...]) -> Scorer:
        job = self.job
        partners = shuffled(job.live, job.config.seed)
        asked = set(sample)
        labels = {}
        for feature in job.live:
            shown = job.labels[feature]
            line = [shown]
            if feature in features:  # the first label of a line too, to see what refinement brought
                line += [label for label in job.lines[feature][:1] if label.id != shown.id]
            labels[feature] = [(label.id, label.draft.text) for label in line]
        others = {f: other for f, other in partners.items() if f in asked}
        return self.scorer_of(self.neighbours, labels, others, tests)

    def scorer_of(
        self,
        neighbours: np.ndarray,
        labels: Mapping[int, Sequence[tuple[str, str]]],
        others: Mapping[int, int] | None = None,
        tests: tuple[Test, ...] = TESTS,
    ) -> Scorer:
        """Asks on test documents about `labels`; see `Scorer`."""
        job = self.job
        maker = job.question_maker("test", neighbours)
        return Scorer(maker, job.passages, labels, others or {}, job.config.seed, tests)

    def _sample(self, count: int) -> list[int]:
        random = np.random.default_rng([self.job.config.seed, 17])
        return sorted(random.permutation(self.job.live)[:count].tolist())
