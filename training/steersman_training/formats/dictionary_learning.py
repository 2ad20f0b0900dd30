"""dictionary_learning: a folder with `ae.pt`, a pickled state dict, and `config.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steersman_engine.sae import SAE
from steersman_training.formats.canonical import (
    Foreign,
    FormatError,
    config_of,
    take,
    ungated,
    unpickle_tensors,
)

WEIGHTS = "ae.pt"
CONFIG = "config.json"


def is_dictionary_learning(path: Path) -> bool:
    """Whether a folder is of this format."""
    return (path / WEIGHTS).is_file()


def read_dictionary_learning(path: Path) -> Foreign:
    """Its classes AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder and the three TopK ones.

    The class is known by the tensors; `config.json` is read if it is there. Only tensors are unpickled.

    Raises:
        FormatError: It is another class.
    """
    where = str(path / WEIGHTS)
    tensors = unpickle_tensors(path / WEIGHTS)
    facts = _facts(path)
    names = set(tensors)
    if "r_mag" in names:
        weight, decoder, b_dec = take(tensors, ("encoder.weight", "decoder.weight", "decoder_bias"), where)
        gate = take(tensors, ("gate_bias", "r_mag", "mag_bias"), where)
        W_enc, b_enc, threshold = ungated(weight.T, *gate)
        return Foreign(
            W_enc=W_enc, b_enc=b_enc, W_dec=decoder.T, b_dec=b_dec, threshold=threshold,
            architecture="GatedAutoEncoder", subtract_b_dec=True, facts=facts,
        )  # fmt: skip
    if "W_enc" in names:
        W_enc, b_enc, W_dec, b_dec, threshold = take(
            tensors, ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"), where
        )
        if "k" not in names:
            return Foreign(
                W_enc=W_enc, b_enc=b_enc, W_dec=W_dec, b_dec=b_dec, threshold=threshold,
                architecture="JumpReluAutoEncoder", facts=facts,
            )  # fmt: skip
        return _topk("MatryoshkaBatchTopKSAE", tensors, W_enc, b_enc, W_dec, b_dec, facts)
    if "k" in names:
        weight, b_enc, decoder, b_dec = take(
            tensors, ("encoder.weight", "encoder.bias", "decoder.weight", "b_dec"), where
        )
        kind = facts.get("dict_class", "BatchTopKSAE")
        return _topk(kind, tensors, weight.T, b_enc, decoder.T, b_dec, facts)
    bias = "bias" if "bias" in names else "decoder.bias"
    weight, b_enc, decoder, b_dec = take(
        tensors, ("encoder.weight", "encoder.bias", "decoder.weight", bias), where
    )
    return Foreign(
        W_enc=weight.T, b_enc=b_enc, W_dec=decoder.T, b_dec=b_dec, facts=facts,
        architecture="AutoEncoder" if bias == "bias" else "AutoEncoderNew", subtract_b_dec=bias == "bias",
    )  # fmt: skip


def write_dictionary_learning(sae: SAE, path: Path, facts: Mapping[str, Any]) -> None:
    """As a JumpReluAutoEncoder, which holds all that the canonical form does."""
    path.mkdir(parents=True, exist_ok=True)
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    torch.save({name: getattr(sae, name).clone() for name in names}, path / WEIGHTS)
    trainer: dict[str, Any] = {
        "dict_class": "JumpReluAutoEncoder",
        "activation_dim": sae.d_in,
        "dict_size": sae.d_sae,
    }
    trainer |= {
        ours: facts[name] for name, ours in (("layer", "layer"), ("model", "lm_name")) if name in facts
    }
    (path / CONFIG).write_text(json.dumps({"trainer": trainer}, indent=1) + "\n", encoding="utf-8")


def _topk(
    kind: str,
    tensors: Mapping[str, Tensor],
    W_enc: Tensor,
    b_enc: Tensor,
    W_dec: Tensor,
    b_dec: Tensor,
    facts: dict[str, Any],
) -> Foreign:
    threshold, k = (_scalar(tensors, name) for name in ("threshold", "k"))
    by_threshold = threshold >= 0 and kind != "AutoEncoderTopK"  # which uses it only when told to
    return Foreign(
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        architecture=kind,
        threshold=torch.full_like(b_enc, threshold) if by_threshold else None,
        k=None if by_threshold else int(k),
        subtract_b_dec=True,
        facts=facts,
    )


def _scalar(tensors: Mapping[str, Tensor], name: str) -> float:
    """One number, -1 where there is none."""
    found = tensors.get(name, torch.tensor(-1.0))
    if not isinstance(found, Tensor) or found.numel() != 1:
        raise FormatError(f"{name} of {WEIGHTS} is not one number.")
    return float(found)


def _facts(path: Path) -> dict[str, Any]:
    if not (path / CONFIG).is_file():
        return {}
    trainer = config_of(path / CONFIG).get("trainer")
    if not isinstance(trainer, dict):
        raise FormatError(f"{path / CONFIG} is not a configuration of dictionary_learning.")
    return trainer
