"""Put an SAE, its catalogue and what was measured of them into one folder that a server can load."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import steersman
from steersman_catalog import Catalog
from steersman_engine.bundle import (
    CARD,
    CATALOG_FILE,
    FORMAT,
    MANIFEST,
    SAE_FILE,
    Bundle,
    BundleManifest,
    sha256_of,
)
from steersman_engine.pull import replacing
from steersman_engine.sae import SAE
from steersman_training.card import LABELLING, card
from steersman_training.metrics import Metrics
from steersman_training.train import FACTS, TrainFacts


def make_bundle(
    run: Path,
    metrics_file: Path,
    catalog: Path,
    out: Path,
    *,
    name: str,
    licence: str,
    summary: Path | None = None,
) -> Bundle:
    """A bundle in `out` from a training run's folder, its evaluation and its catalogue.

    `summary`: what the labelling job said of its labels, for the card.

    Raises:
        ValueError: The parts are not of the same SAE and model, or `out` exists.
        FileNotFoundError: One of them is missing.
    """
    if out.exists():
        raise ValueError(f"{out} exists. Remove it, or choose another folder.")
    facts = msgspec.json.decode((run / FACTS).read_bytes(), type=TrainFacts)
    metrics = msgspec.json.decode(metrics_file.read_bytes(), type=Metrics)
    sae, sae_sha256 = SAE.load(run / SAE_FILE), sha256_of(run / SAE_FILE)
    _check_parts(facts, metrics, catalog, sae, sae_sha256)
    manifest = BundleManifest(
        format=FORMAT,
        name=name,
        model=metrics.model,
        model_fingerprint=metrics.fingerprint,
        chat_template_sha256=metrics.chat_template_sha256,
        layer=metrics.layer,
        site="resid_post",
        d_in=sae.d_in,
        d_sae=sae.d_sae,
        sae_sha256=sae_sha256,
        catalog_sha256=sha256_of(catalog),
        sink_norm=facts.harvest.sink_norm,
        training=_training(facts),
        metrics=msgspec.to_builtins(metrics) | _labelling(summary),
        licence=licence,
        created=_now(),
    )
    return _write(manifest, metrics, run / SAE_FILE, catalog, out)


def relabel(bundle: Bundle, catalog: Path, out: Path, *, summary: Path | None = None) -> Bundle:
    """The same SAE, with its metrics, and another catalogue of it.

    Raises:
        ValueError: The catalogue is of another SAE or model, or `out` exists.
    """
    if out.exists():
        raise ValueError(f"{out} exists. Remove it, or choose another folder.")
    old = bundle.manifest
    _check_catalog(catalog, (old.d_sae, old.model_fingerprint, str(old.layer)))
    measured = {key: value for key, value in old.metrics.items() if key != LABELLING}
    manifest = msgspec.structs.replace(
        old,
        catalog_sha256=sha256_of(catalog),
        metrics=measured | _labelling(summary),
        created=_now(),
    )
    metrics = msgspec.convert(measured, Metrics)
    return _write(manifest, metrics, bundle.folder / SAE_FILE, catalog, out)


def _write(manifest: BundleManifest, metrics: Metrics, sae: Path, catalog: Path, out: Path) -> Bundle:
    with replacing(out) as made:
        shutil.copyfile(sae, made / SAE_FILE)
        shutil.copyfile(catalog, made / CATALOG_FILE)
        (made / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        (made / CARD).write_text(card(manifest, metrics), encoding="utf-8")
    return Bundle(out)


def _labelling(summary: Path | None) -> dict[str, object]:
    """What a labelling job's summary says, under its key, or nothing."""
    return {} if summary is None else {LABELLING: msgspec.json.decode(summary.read_bytes())}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _check_parts(facts: TrainFacts, metrics: Metrics, catalog: Path, sae: SAE, sae_sha256: str) -> None:
    if metrics.sae_sha256 != sae_sha256:
        raise ValueError("The metrics are of another SAE file: run `steersman evaluate` on this one.")
    if metrics.fingerprint != facts.harvest.fingerprint:
        raise ValueError("The SAE was evaluated on other model weights than it was trained on.")
    _check_catalog(catalog, (sae.d_sae, metrics.fingerprint, str(metrics.layer)))


def _check_catalog(catalog: Path, wanted: tuple[int, str, str]) -> None:
    opened = Catalog.open(catalog)
    try:
        found = (len(opened), opened.meta.get("model_fingerprint"), opened.meta.get("layer"))
    finally:
        opened.close()
    if found != wanted:
        raise ValueError(f"The catalogue is of (features, model, layer) {found}, not {wanted}.")


def _training(facts: TrainFacts) -> dict[str, object]:
    harvest, config = facts.harvest, msgspec.to_builtins(facts.config)
    own = config.pop("architecture")
    return {
        "architecture": own.pop("kind"),
        "config": own | config,
        "source": harvest.source,
        "tokens": harvest.tokens,
        "max_length": harvest.max_length,
        "epochs": round(facts.num_epochs, 3),
        "input_scale": facts.input_scale,
        "torch": facts.torch_version,
        "steersman": steersman.__version__,
    }
