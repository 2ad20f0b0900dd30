"""What a job would take, said before it begins: read a little, show real questions to the backends."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from msgspec import Struct
from msgspec.structs import replace

from steersman_training.labelling.config import LabelConfig
from steersman_training.labelling.job import Job
from steersman_training.labelling.moderation import Moderator, Sample
from steersman_training.labelling.protocols import Estimate, Explainer, Judge
from steersman_training.labelling.results import FREE, PAID_BASELINES, Results
from steersman_training.labelling.score_part import PAID_TESTS
from steersman_training.labelling.statistical import StatisticalExplainer
from steersman_training.labelling.subject import Subject

SAMPLE_TOKENS = 20_000
"""Read to have real examples to price; only where a paid backend is asked."""
SAMPLE_FEATURES = 32
SPEED_TOKENS = 256
SECONDS_A_FEATURE = 0.3
"""Of one core, for all that follows the reading, with offline explainers and judges; roughly."""
CONTRASTIVE_TRIALS = 20
STAND_IN = "a label of about as many words"


@dataclass(frozen=True)
class Asked:
    """Who answers; judge and moderator are those that are paid by the question, or None."""

    explainer: Explainer
    judge: Judge | None = None
    moderator: Moderator | None = None

    @property
    def paid(self) -> bool:
        """Whether anything is asked that may cost money."""
        others = self.judge is not None or self.moderator is not None
        return others or self.explainer.name != StatisticalExplainer.name


class Plan(Struct, frozen=True, kw_only=True):
    """What a job takes."""

    features: int
    tokens: int
    tokens_per_s: float
    steps: dict[str, Estimate]

    @property
    def total(self) -> Estimate:
        """Of all steps."""
        steps = self.steps.values()
        return Estimate(
            requests=sum(step.requests for step in steps),
            input_tokens=sum(step.input_tokens for step in steps),
            output_tokens=sum(step.output_tokens for step in steps),
            usd=sum(step.usd for step in steps),
            usd_high=sum(step.usd_high for step in steps),
            seconds=sum(step.seconds for step in steps),
        )


def make_plan(folder: Path, config: LabelConfig, subject: Subject, asked: Asked) -> Plan:
    """A job's plan."""
    speed = reading_speed(subject)
    features = min(config.features or subject.sae.d_sae, subject.sae.d_sae)
    steps = {
        "read": Estimate(seconds=config.tokens / speed),
        "measure, score, relate": Estimate(seconds=features * SECONDS_A_FEATURE),
    }
    if asked.paid:
        job = _sample_job(folder, config, subject, asked.explainer)
        evidence = job.evidence(0)[:SAMPLE_FEATURES]
        rounds = config.refine_rounds
        steps["explain"] = asked.explainer.estimate(evidence, features * (1 + rounds))
        if asked.judge is not None:
            trials = _sample_trials(job)
            each = len(trials) / SAMPLE_FEATURES  # once through
            chosen = CONTRASTIVE_TRIALS * (1 + rounds) if rounds and config.judges[0] not in FREE else 0
            total = round(each * (features + min(PAID_BASELINES, features)) + chosen * features)
            steps["score"] = asked.judge.estimate(trials, total)
        if asked.moderator is not None:
            samples = [Sample(feature=one.feature, label=STAND_IN, examples=one.examples) for one in evidence]
            steps["moderate"] = asked.moderator.estimate(samples, features)
    return Plan(features=features, tokens=config.tokens, tokens_per_s=speed, steps=steps)


def reading_speed(subject: Subject) -> float:
    """Tokens a second through the blocks up to the layer and the encoder, one text at a time."""
    ids = torch.randint(0, len(subject.host.W_U), (1, SPEED_TOKENS), device=subject.host.device)
    subject.host.residual(ids)  # the first pass is slower
    start = time.perf_counter()
    subject.sae.encode(subject.host.residual(ids).float())
    return SPEED_TOKENS / (time.perf_counter() - start)


def _sample_job(folder: Path, config: LabelConfig, subject: Subject, explainer: Explainer) -> Job:
    few = replace(config, tokens=min(SAMPLE_TOKENS, config.tokens))
    return Job(folder / "plan", few, subject, lambda texts: np.zeros((len(texts), 1)), explainer=explainer)


def _sample_trials(job: Job) -> list:
    """Questions of some features with stand-in labels and neighbours: of the right number and length."""
    d_sae = job.subject.sae.d_sae
    job.tile_vectors = np.zeros((len(job.corpus.tiles), 1), np.float16)  # which distractor is no matter
    neighbours = (np.arange(d_sae)[:, None] + np.arange(1, min(40, d_sae))) % d_sae
    scorer = Results(job).scorer_of(neighbours, {f: [("0", STAND_IN)] for f in job.live})
    block = job.activations.block(0, min(SAMPLE_FEATURES, d_sae))
    return [
        job.passages.trial(question, STAND_IN)
        for feature in block.features
        for question in scorer.maker.of(feature, block, PAID_TESTS)
    ]
