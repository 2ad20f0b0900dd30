"""Goodfire's released SAEs: a `.pth` or `.pt` file, the state dict of two linear layers with a ReLU between.

As of Goodfire/Llama-3.1-8B-Instruct-SAE-l19: nothing is taken off the input, decoder columns have any length.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from steersman_engine.sae import SAE
from steersman_training.formats.canonical import Foreign, FormatError, take, unpickle_tensors

NAMES = ("encoder_linear.weight", "encoder_linear.bias", "decoder_linear.weight", "decoder_linear.bias")


def is_goodfire(path: Path) -> bool:
    """Whether a file may be of this format."""
    return path.is_file() and path.suffix in (".pth", ".pt")


def read_goodfire(path: Path) -> Foreign:
    """Only tensors are unpickled.

    Raises:
        FormatError: It holds something else.
    """
    tensors = unpickle_tensors(path)
    weight, b_enc, decoder, b_dec = take(tensors, NAMES, str(path))
    return Foreign(W_enc=weight.T, b_enc=b_enc, W_dec=decoder.T, b_dec=b_dec, architecture="relu")


def write_goodfire(sae: SAE, path: Path, facts: Mapping[str, Any]) -> None:
    """Write the state dict.

    Raises:
        FormatError: The SAE has thresholds.
    """
    if (sae.threshold > 0).any():
        raise FormatError("Goodfire's format holds no thresholds, and this SAE has some: use sae_lens, say.")
    tensors = (sae.W_enc.T.contiguous(), sae.b_enc, sae.W_dec.T.contiguous(), sae.b_dec)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(zip(NAMES, (tensor.clone() for tensor in tensors), strict=True)), path)
