"""sparsify (EleutherAI): a folder with `cfg.json` and `sae.safetensors`; it always keeps the k largest."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from steersman_engine.sae import SAE
from steersman_training.formats.canonical import Foreign, FormatError, config_of, load_tensors, take, whole

CONFIG = "cfg.json"
WEIGHTS = "sae.safetensors"


def is_sparsify(path: Path) -> bool:
    """Whether a folder is of this format."""
    return (path / WEIGHTS).is_file() and (path / CONFIG).is_file()


def read_sparsify(path: Path) -> Foreign:
    """A TopK SAE, ReLU where k is the number of features.

    Raises:
        FormatError: It is a transcoder, has a skip connection, or groups its features.
    """
    config = config_of(path / CONFIG)
    for name, harmless in (("transcode", False), ("skip_connection", False), ("activation", "topk")):
        if config.get(name, harmless) != harmless:
            raise FormatError(f"{path} has {name} = {config[name]!r}, which the canonical form cannot hold.")
    names = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")
    weight, b_enc, W_dec, b_dec = take(load_tensors(path / WEIGHTS), names, str(path / WEIGHTS))
    k = whole(config, "k", path / CONFIG)
    return Foreign(
        W_enc=weight.T,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        architecture="topk",
        k=k if k < len(b_enc) else None,
        subtract_b_dec=True,
        facts={"hookpoint": path.name, **({"k": k} if k else {})},
    )


def write_sparsify(sae: SAE, path: Path, facts: Mapping[str, Any]) -> None:
    """With k = all features, which is ReLU.

    Raises:
        FormatError: The SAE has thresholds.
    """
    if (sae.threshold > 0).any():
        raise FormatError("sparsify's format holds no thresholds, and this SAE has some: use sae_lens, say.")
    path.mkdir(parents=True, exist_ok=True)
    tensors = {
        "encoder.weight": sae.W_enc.T.contiguous(),
        "encoder.bias": sae.b_enc + sae.b_dec @ sae.W_enc,
        "W_dec": sae.W_dec.contiguous(),
        "b_dec": sae.b_dec,
    }
    config = {
        "activation": "topk",
        "expansion_factor": 32,
        "normalize_decoder": True,
        "num_latents": sae.d_sae,
        "k": sae.d_sae,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": sae.d_in,
    }
    save_file(tensors, path / WEIGHTS)
    (path / CONFIG).write_text(json.dumps(config) + "\n", encoding="utf-8")
