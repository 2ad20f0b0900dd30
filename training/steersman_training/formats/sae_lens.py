"""SAELens: a folder with `cfg.json` and `sae_weights.safetensors`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from steersman_engine.sae import SAE
from steersman_training.formats.canonical import (
    Foreign,
    FormatError,
    config_of,
    load_tensors,
    take,
    ungated,
    whole,
)

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"


def is_sae_lens(path: Path) -> bool:
    """Whether a folder is of this format."""
    return (path / WEIGHTS).is_file() and (path / CONFIG).is_file()


def read_sae_lens(path: Path) -> Foreign:
    """Architectures standard, jumprelu, gated, topk and batchtopk.

    Raises:
        FormatError: It is another one, or its inputs are changed in a way that cannot be folded in.
    """
    config = config_of(path / CONFIG)
    architecture = config.get("architecture", "standard")
    for name, harmless in (("normalize_activations", "none"), ("reshape_activations", "none")):
        if config.get(name, harmless) not in (harmless, None):
            raise FormatError(
                f"{path} has {name} = {config[name]!r}: its features are of changed inputs, which the"
                " canonical form cannot hold. Fold that in with SAELens first."
            )
    if (
        config.get("activation_fn", "relu") not in ("relu", "topk")
        or config.get("activation_fn_str", "relu") != "relu"
    ):
        raise FormatError(f"{path} has another activation function than ReLU.")
    tensors = load_tensors(path / WEIGHTS)
    W_enc, W_dec, b_dec = take(tensors, ("W_enc", "W_dec", "b_dec"), str(path / WEIGHTS))
    threshold, k = None, None
    if architecture == "gated":
        W_enc, b_enc, threshold = ungated(
            W_enc, *take(tensors, ("b_gate", "r_mag", "b_mag"), str(path / WEIGHTS))
        )
    else:
        (b_enc,) = take(tensors, ("b_enc",), str(path / WEIGHTS))
        if architecture == "jumprelu":
            (threshold,) = take(tensors, ("threshold",), str(path / WEIGHTS))
        elif architecture in ("topk", "batchtopk"):
            k = whole(config, "k", path / CONFIG)
        elif architecture != "standard":
            raise FormatError(f"{path} is a {architecture!r}, which the canonical form cannot hold.")
    if config.get("rescale_acts_by_decoder_norm"):  # ranked, and decoded, as if rows had unit norm
        norm = W_dec.norm(dim=-1)
        W_enc, b_enc, W_dec = W_enc * norm, b_enc * norm, W_dec / norm[:, None]
    return Foreign(
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=W_dec,
        b_dec=b_dec,
        architecture=architecture,
        threshold=threshold,
        k=k,
        subtract_b_dec=config.get("apply_b_dec_to_input", True),
        facts=config.get("metadata")
        or {key: config[key] for key in ("model_name", "hook_name") if key in config},
    )


def write_sae_lens(sae: SAE, path: Path, facts: Mapping[str, Any]) -> None:
    """As `standard` where all thresholds are 0, else as `jumprelu`."""
    jumps = bool((sae.threshold > 0).any())
    path.mkdir(parents=True, exist_ok=True)
    tensors = {name: getattr(sae, name).contiguous() for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    if jumps:
        tensors["threshold"] = sae.threshold.contiguous()
    metadata = {"sae_lens_version": "6.54.12", **_metadata(facts)}
    config = {
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": metadata,
        "architecture": "jumprelu" if jumps else "standard",
    }
    save_file(tensors, path / WEIGHTS)
    (path / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _metadata(facts: Mapping[str, Any]) -> dict[str, Any]:
    layer = facts.get("layer")
    hooks = (
        {}
        if layer is None
        else {"hook_name": f"blocks.{layer}.hook_resid_post", "hf_hook_name": f"model.layers.{layer}"}
    )
    model = {"model_name": facts["model"]} if "model" in facts else {}
    return {**model, **hooks, "prepend_bos": False}
