"""What is labelled: an SAE on a model."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from transformers import PreTrainedTokenizerBase

from steersman_engine.bundle import sha256_of
from steersman_engine.host import HostModel, fast_dtype, load_model
from steersman_engine.prompt import chat_template_sha256
from steersman_engine.pull import pull
from steersman_engine.sae import SAE
from steersman_training.labelling.config import LabelConfig


@dataclass(frozen=True)
class Subject:
    """A model, its tokenizer and an SAE on one of its layers, on one device.

    Raises:
        ValueError: The SAE is for another model.
    """

    host: HostModel
    tokenizer: PreTrainedTokenizerBase
    sae: SAE
    sae_sha256: str
    sink_norm: float

    def __post_init__(self) -> None:
        if self.sae.d_in != self.host.d_model:
            raise ValueError(
                f"The SAE reads residuals of width {self.sae.d_in}, and {self.host.name} has"
                f" {self.host.d_model}: it was trained on another model."
            )

    @classmethod
    def open(cls, config: LabelConfig) -> Self:
        """The subject that a job names, the model fetched where needed."""
        dtype = getattr(torch, config.dtype) if config.dtype else fast_dtype(config.device)
        folder = pull(config.model, Path(config.cache_dir))
        model, tokenizer = load_model(folder, dtype=dtype, device=config.device)
        host = HostModel(model, config.layer, name=config.model)
        path = Path(config.sae)
        return cls(host, tokenizer, SAE.load(path, config.device), sha256_of(path), config.sink_norm)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What tells this subject from others."""
        return {
            "model": self.host.fingerprint(),
            "dtype": str(self.host.model.dtype).removeprefix("torch."),
            "template": chat_template_sha256(self.tokenizer),
            "layer": self.host.layer,
            "sae": self.sae_sha256,
            "sink_norm": self.sink_norm,
        }
