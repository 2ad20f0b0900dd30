"""A run's checkpoint: all that the rest of the run follows from, replaced in one step."""

import os
from pathlib import Path

import msgspec
import torch

from steersman_training.manifest import Manifest
from steersman_training.run_files import CHECKPOINT
from steersman_training.train_config import TrainConfig
from steersman_training.trainer import Trainer


def save_checkpoint(trainer: Trainer, manifest: Manifest, out: Path) -> None:
    """Write how far `trainer` is.

    Raises:
        OSError: It cannot be written; the one before is still there.
    """
    part = out / f"{CHECKPOINT}.part"
    try:
        with part.open("wb") as file:
            torch.save({"origin": _origin(trainer.config, manifest), "state": trainer.state()}, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch reports a full disk as the latter
        part.unlink(missing_ok=True)
        raise OSError(
            f"The checkpoint in {out} cannot be written ({error}). The one before is kept."
        ) from error
    part.replace(out / CHECKPOINT)


def restore_checkpoint(trainer: Trainer, manifest: Manifest, out: Path) -> bool:
    """Go on where the checkpoint in `out` was taken; False if there is none.

    Raises:
        ValueError: It is of another configuration or harvest.
    """
    if not (out / CHECKPOINT).exists():
        return False
    saved = torch.load(out / CHECKPOINT, map_location=trainer.device, weights_only=True)
    if saved["origin"] != _origin(trainer.config, manifest):
        raise ValueError(
            f"{out} holds a run with another configuration or harvest: repeat that one, or choose"
            " another folder."
        )
    trainer.restore(saved["state"])
    return True


def _origin(config: TrainConfig, manifest: Manifest) -> str:
    made = msgspec.structs.replace(manifest, documents_done=0, shards=()) if manifest.ring else manifest
    return msgspec.json.encode((config, made)).decode()
