"""What explainers get to see of a feature: all of it from explain documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from steersman_engine.prompt import ROLES
from steersman_training.labelling.activations import Activations, Block
from steersman_training.labelling.corpus import SPLITS
from steersman_training.labelling.lens import Lens
from steersman_training.labelling.measure import NUM_STRATA, Background, Measured, strata_of
from steersman_training.labelling.protocols import Excerpt, FeatureEvidence, Weighted
from steersman_training.labelling.token_text import TokenText
from steersman_training.labelling.word_facts import WordFacts

TOP = 3
"""Excerpts where the feature is highest."""
A_STRATUM = 4
"""Excerpts in each stratum, those of the top included, drawn at random."""
INACTIVE = 4
TRIED = 50
"""Candidates looked at for each of these."""
BEFORE, AFTER = 24, 7
"""Tokens shown before and after the peak."""
EXPLAIN = SPLITS.index("explain")
LEAST_FOLLOWING, LEAST_LIFT = 0.03, 3.0
"""A promoted token follows from this share of the activation on, if it is so many times its usual share."""


@dataclass(frozen=True)
class EvidenceMaker:
    """Draws and counts; `seed` fixes what is drawn."""

    activations: Activations
    word_facts: WordFacts
    background: Background
    text: TokenText
    lens: Lens
    seed: int

    def make(self, block: Block, measured: Sequence[Measured]) -> list[FeatureEvidence]:
        """The features of a block, of which `measured` was counted."""
        promoted, ids = self.lens.promoted(block.features)
        return [
            self._one(facts, *block.of(facts.feature), lens, tokens)
            for facts, lens, tokens in zip(measured, promoted, ids, strict=True)
        ]

    @cached_property
    def _token_share(self) -> np.ndarray:
        """Share of each token among those of explain documents `[vocab]`."""
        token = self.activations.corpus.token[self.word_facts.explain]
        return np.bincount(token, minlength=self.lens.vocab) / max(1, len(token))

    def _one(
        self,
        facts: Measured,
        where: np.ndarray,
        value: np.ndarray,
        lens: tuple[tuple[Weighted, ...], ...],
        promoted: np.ndarray,
    ) -> FeatureEvidence:
        corpus, feature = self.activations.corpus, facts.feature
        there = corpus.split_of_token[where] == EXPLAIN
        shown, shown_value = where[there], value[there]
        random = np.random.default_rng([self.seed, feature])
        sampled, weight = self.word_facts.sample(where, value, (self.seed, feature, 1))
        return FeatureEvidence(
            feature=feature,
            h_max=facts.h_max,
            density=facts.density,
            examples=self._examples(shown, shown_value, facts.h_max, random),
            inactive=self._inactive(where, random),
            firing_words=self.word_facts.firing(sampled, weight),
            context_words=self.word_facts.context(sampled, weight),
            previous_words=self.word_facts.before(sampled, weight),
            promoted=lens[0],
            suppressed=lens[1],
            next_tokens=self._following(sampled, weight, promoted),
            roles=facts.roles,
            role_base={r: float(s) for r, s in zip(ROLES, self.background.roles, strict=True)},
            special_share=facts.special_share,
            position_bits=facts.position_bits,
            early_share=facts.early_share,
            num_documents=len(np.unique(corpus.document_of[shown])),
        )

    def _following(self, where: np.ndarray, weight: np.ndarray, promoted: np.ndarray) -> tuple[Weighted, ...]:
        """Which of the `promoted` tokens do come after firings, by share of their `weight`."""
        corpus = self.activations.corpus
        inside = where + 1 < corpus.starts[corpus.document_of[where] + 1]
        if not inside.any():
            return ()
        token, weight = corpus.token[where[inside] + 1], weight[inside] / weight[inside].sum()
        shares = np.array([weight[token == one].sum() for one in promoted])
        lifts = shares / np.maximum(self._token_share[promoted], 1e-9)
        kept = (shares >= LEAST_FOLLOWING) & (lifts >= LEAST_LIFT)
        order = [index for index in np.argsort(-shares, kind="stable").tolist() if kept[index]]
        return tuple(
            Weighted(self.text[int(promoted[index])], float(lifts[index]), float(shares[index]))
            for index in order
        )

    def _examples(
        self, where: np.ndarray, value: np.ndarray, h_max: float, random: np.random.Generator
    ) -> tuple[Excerpt, ...]:
        """One a document and stratum at most: the highest, then some at random from each stratum."""
        if not len(where):
            return ()
        strata = strata_of(value, h_max)
        document = self.activations.corpus.document_of[where]
        highest = np.argsort(-value, kind="stable")
        shuffled = random.permutation(len(where))
        taken: set[tuple[int, int]] = set()
        chosen: list[tuple[int, int]] = []
        room = np.full(NUM_STRATA, A_STRATUM)

        def take(order: np.ndarray, limit: int) -> None:
            for index in order.tolist():
                if limit == 0:
                    return
                key = (int(document[index]), int(strata[index]))
                if key not in taken and self._is_peak(where, value, index):
                    taken.add(key)
                    chosen.append((index, key[1]))
                    room[key[1]] -= 1
                    limit -= 1

        take(highest[:TRIED], TOP)
        for stratum in range(NUM_STRATA):
            of_stratum = shuffled[strata[shuffled] == stratum]
            take(of_stratum[:TRIED], max(0, int(room[stratum])))
        chosen.sort(key=lambda one: (-value[one[0]], one[0]))
        return tuple(self._excerpt(where, value, index, stratum) for index, stratum in chosen)

    def _window(self, token: int) -> tuple[int, int]:
        """What is shown around a token, within its document."""
        corpus = self.activations.corpus
        document = corpus.document_of[token]
        return (
            max(int(corpus.starts[document]), token - BEFORE),
            min(int(corpus.starts[document + 1]), token + AFTER + 1),
        )

    def _is_peak(self, where: np.ndarray, value: np.ndarray, index: int) -> bool:
        """Whether nothing shown around a firing is higher."""
        low, high = np.searchsorted(where, self._window(int(where[index])))
        return bool(value[low:high].max() <= value[index])

    def _excerpt(self, where: np.ndarray, value: np.ndarray, index: int, stratum: int) -> Excerpt:
        begin, end = self._window(int(where[index]))
        low, high = np.searchsorted(where, (begin, end))
        acts = np.zeros(end - begin)
        acts[where[low:high] - begin] = value[low:high]
        return self._made(begin, end, acts, int(where[index]) - begin, stratum)

    def _inactive(self, where: np.ndarray, random: np.random.Generator) -> tuple[Excerpt, ...]:
        """Explain tiles without any firing: half of those with a word it often fires on, half of any."""
        corpus = self.activations.corpus
        silent = corpus.tile_split == EXPLAIN
        fired = corpus.tile_of[where]
        silent[fired[fired >= 0]] = False
        candidates = np.flatnonzero(silent)
        if not len(candidates) or not len(where):
            return ()
        tokens, counts = np.unique(corpus.token[where], return_counts=True)
        common = tokens[np.argsort(-counts, kind="stable")[:5]]
        tried = random.permutation(candidates)[:TRIED]
        alike = [t for t in tried.tolist() if np.isin(corpus.token[slice(*corpus.tiles[t])], common).any()]
        chosen = list(dict.fromkeys([*alike[: INACTIVE // 2], *tried.tolist()]))[:INACTIVE]
        return tuple(
            self._made(int(begin), int(end), np.zeros(end - begin), 0, None)
            for begin, end in corpus.tiles[chosen].tolist()
        )

    def _made(self, begin: int, end: int, acts: np.ndarray, peak: int, stratum: int | None) -> Excerpt:
        corpus = self.activations.corpus
        document = int(corpus.document_of[begin])
        assert corpus.split[document] == EXPLAIN, "Only explain documents are shown."
        return Excerpt(
            id=f"{corpus.documents[document]}:{begin - int(corpus.starts[document])}",
            document=corpus.documents[document],
            role=ROLES[corpus.role[begin + peak]],
            stratum=stratum,
            tokens=self.text.of(corpus.token[begin:end]),
            activations=tuple(acts.round(4).tolist()),
            peak=peak,
        )
