"""Architectures of SAEs in the form that learns: each is a file, and one loop trains them all."""

from steersman_training import train_config
from steersman_training.architectures.gated import Gated
from steersman_training.architectures.jump_relu import JumpReLU
from steersman_training.architectures.learner import Learner, Outcome
from steersman_training.architectures.matryoshka import Matryoshka
from steersman_training.architectures.standard_l1 import StandardL1
from steersman_training.architectures.topk import BatchTopK, TopK

LEARNERS: dict[type[train_config.Architecture], type[Learner]] = {
    train_config.StandardL1: StandardL1,
    train_config.TopK: TopK,
    train_config.BatchTopK: BatchTopK,
    train_config.Matryoshka: Matryoshka,
    train_config.JumpReLU: JumpReLU,
    train_config.Gated: Gated,
}
"""What learns, by its options."""

__all__ = ["LEARNERS", "Learner", "Outcome"]
