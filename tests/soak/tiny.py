"""A tiny random model and a bundle for it, on disk, as `steersman serve` takes them."""

from pathlib import Path

import msgspec
import torch
from tests.random_llama import random_llama
from transformers import PreTrainedTokenizerFast

from steersman_catalog.rows import FeatureRow, LabelRow, Row
from steersman_catalog.writer import write_catalog
from steersman_engine.bundle import CATALOG_FILE, FORMAT, MANIFEST, SAE_FILE, BundleManifest, sha256_of
from steersman_engine.host import HostModel
from steersman_engine.prompt import chat_template_sha256
from steersman_engine.sae import SAE
from steersman_engine.self_test import text_ids

LAYER = 1
RANK = 12
"""Directions that the SAE keeps: too few for a layer that it was not made for."""
NO_SINKS = 1e9


def write_tiny(folder: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[Path, Path]:
    """The folders of a model and of its bundle, in `folder`."""
    model, bundle = folder / "tiny", folder / "bundle"
    weights = random_llama(len(tokenizer), num_layers=4, num_positions=512)
    weights.save_pretrained(model)
    tokenizer.save_pretrained(model)
    _write_bundle(bundle, HostModel(weights, LAYER, name="tiny"), tokenizer)
    return model, bundle


def _write_bundle(folder: Path, host: HostModel, tokenizer: PreTrainedTokenizerFast) -> None:
    folder.mkdir()
    x = host.residual(text_ids(tokenizer))[0]
    sae = principal_sae(x)
    sae.save(folder / SAE_FILE)
    h_max = sae.encode(x).amax(0).clamp(min=0.5)
    rows: list[Row] = []
    for index, value in enumerate(h_max.tolist()):
        rows.append(
            FeatureRow(feature=index, h_max=value, density=0.1, mean_activation=value / 2, num_documents=9)
        )
        rows.append(
            LabelRow(label=index, feature=index, text=f"direction {index}", kind="mixed",
                     explainer="statistical", shown=True)
        )  # fmt: skip
    meta = {"model": "tiny", "layer": str(LAYER), "model_fingerprint": host.fingerprint()}
    write_catalog(folder / CATALOG_FILE, meta, rows)
    manifest = BundleManifest(
        format=FORMAT,
        name="tiny",
        model="tiny",
        model_fingerprint=host.fingerprint(),
        chat_template_sha256=chat_template_sha256(tokenizer),
        layer=LAYER,
        site="resid_post",
        d_in=sae.d_in,
        d_sae=sae.d_sae,
        sae_sha256=sha256_of(folder / SAE_FILE),
        catalog_sha256=sha256_of(folder / CATALOG_FILE),
        sink_norm=NO_SINKS,
        training={},
        metrics={},
        licence="Apache-2.0",
        created="2026-01-01T00:00:00+00:00",
    )
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))


def principal_sae(x: torch.Tensor) -> SAE:
    """Both directions of the principal components of `x` `[tokens, d_in]`: best for that layer alone."""
    mean = x.mean(0)
    _, _, V = torch.linalg.svd(x - mean, full_matrices=False)
    W_dec = torch.cat([V[:RANK], -V[:RANK]])
    return SAE.canonical(W_enc=W_dec.T, b_enc=-W_dec @ mean, W_dec=W_dec, b_dec=mean)
