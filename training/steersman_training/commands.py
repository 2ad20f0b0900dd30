"""Where the entry points find `harvest`, `train` and `evaluate`."""

from steersman_training.evaluate_command import command as evaluate
from steersman_training.harvest_command import command as harvest
from steersman_training.model_arguments import (
    add_model_arguments,
    add_source_argument,
    best_device,
    open_host,
)
from steersman_training.train_command import command as train

__all__ = [
    "add_model_arguments",
    "add_source_argument",
    "best_device",
    "evaluate",
    "harvest",
    "open_host",
    "train",
]
