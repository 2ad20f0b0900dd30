"""A bundle's card: what a person wants to know before using it, with its numbers filled in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steersman_engine.bundle import BundleManifest
from steersman_training.metrics import Metrics
from steersman_training.overrides import as_value, settings_of
from steersman_training.recipes import smollm2_135m_cpu

TEMPLATE = Path(__file__).with_name("card.md")
LABELLING = "labelling"
"""Where a manifest's metrics hold a labelling job's summary."""


def card(manifest: BundleManifest, metrics: Metrics) -> str:
    """The card in Markdown."""
    rebuilt, loss = metrics.reconstruction["all"], metrics.next_token["all"]
    commands = (
        f"steersman evaluate --model {manifest.model} --sae sae.safetensors --out metrics.json",
        f"steersman harvest --model {manifest.model} --source {metrics.source}"
        f" --tokens {manifest.training['tokens']} --max-length {manifest.training['max_length']}"
        " --out runs/harvest",
        " ".join(["steersman train --harvest runs/harvest --out runs/sae", *train_flags(manifest.training)]),
        f"steersman evaluate --model {manifest.model} --sae runs/sae/sae.safetensors"
        " --out runs/sae/metrics.json",
        f"steersman label run --harvest runs/harvest --sae runs/sae/sae.safetensors{_label_tokens(manifest)}"
        " --out runs/label",
        f"steersman bundle --name {manifest.name} --run runs/sae --catalog runs/label/catalog.duckdb"
        f" --out {manifest.name}",
    )
    by_role = "\n".join(
        f"| {role} | {one.l0:.1f} | {one.explained_variance:.3f} | {metrics.next_token[role].delta_ce:.3f}"
        f" | {metrics.next_token[role].fidelity_zero:.4f} |"
        for role, one in metrics.reconstruction.items()
        if role != "all" and role in metrics.next_token
    )
    return TEMPLATE.read_text(encoding="utf-8").format(
        name=manifest.name,
        model=manifest.model,
        layer=manifest.layer,
        d_sae=manifest.d_sae,
        created=manifest.created[:10],
        l0=rebuilt.l0,
        explained_variance=rebuilt.explained_variance,
        fidelity_zero=loss.fidelity_zero,
        fidelity_mean=loss.fidelity_mean,
        ce_plain=loss.ce_plain,
        ce_sae=loss.ce_sae,
        delta_ce=loss.delta_ce,
        kl=loss.kl,
        dead=metrics.usage.dead,
        num_dead=metrics.usage.num_dead,
        usage_tokens=metrics.usage.tokens,
        tokens=rebuilt.tokens,
        num_documents=metrics.num_documents,
        source=metrics.source,
        sink_norm=manifest.sink_norm,
        commands=commands,
        by_role=by_role,
        how=how(manifest.training),
        num_samples=manifest.training["config"]["num_samples"],
        train_tokens=manifest.training["tokens"],
        epochs=manifest.training["epochs"],
        max_length=manifest.training["max_length"],
        rest="\n".join(commands[1:]),
        labels=_labels(manifest.metrics.get(LABELLING)),
        licence=manifest.licence,
    )


def _label_tokens(manifest: BundleManifest) -> str:
    found = manifest.metrics.get(LABELLING)
    return f" --tokens {found['asked_tokens']}" if found and found.get("asked_tokens") else ""


def _labels(summary: dict[str, Any] | None) -> str:
    """What the labelling job measured of its labels, baselines beside."""
    if summary is None:
        return "The labels were not scored.\n"
    splits = summary["splits"]
    rows = [
        f"| {line['test']} | {line['judge']} | {line['of']} | {line['mean']:.3f}"
        f" ({line['low']:.3f} to {line['high']:.3f}) | {line['chance']:.2f} | {line['features']:,}"
        f" | {line['asked']:,} | {line['failures']:,} |"
        for line in summary["lines"]
        if line["test"] in ("contrastive", "stringent", "detection")
    ]
    head = (
        f"Made by the explainer `{summary['explainer']}` from {splits['explain']:,} documents, revised on"
        f" {splits['dev']:,} others, scored on {splits['test']:,} more that neither saw"
        f" ({summary['tokens']:,} tokens in all). {summary['live']:,} features fired; {summary['trusted']:,}"
        " labels are above chance in the contrastive test before a judge, at a false discovery rate of 5 %;"
        f" {summary['unclear']:,} say that they are unclear. Means over features, with 95 % intervals:\n"
    )
    table = "| test | judge | of | mean | chance | features | trials | failures |\n" + "|---" * 8 + "|\n"
    tail = (
        "\n*Contrastive*: in which of two texts does the feature fire? *Stringent*: which of four, three of"
        " them of features with the nearest labels? *Detection*: area under the curve over single texts. The"
        " unigram rule has no label; it knows on which tokens the feature fired. The judges are small:"
        " what they find is a floor. Distractors are mostly chosen to be hard, by embedding or label, so"
        " the embedding judge takes shuffled labels to just below chance.\n"
    )
    return f"{head}\n{table}" + "\n".join(rows) + "\n" + tail


def how(training: Mapping[str, Any]) -> str:
    """The architecture, and what decides how many features are active."""
    given = [
        f"{name} = {training['config'][name]}"
        for name in ("k", "l1", "sparsity", "target_l0")
        if training["config"].get(name) is not None
    ]
    return f"`{training['architecture']}`, {', '.join(given)}"


def train_flags(training: Mapping[str, Any]) -> list[str]:
    """What `steersman train` must be told, beside what it does anyway."""
    config, name = training["config"], training["architecture"]
    usual = settings_of(smollm2_135m_cpu().with_architecture(name).resolved(config["dtype"]))
    changed = {
        key: value
        for key, value in config.items()
        if key in usual and as_value(usual[key]) != as_value(value)
    }
    return [f"--architecture {name}", *(f"--set '{key}={as_value(value)}'" for key, value in changed.items())]
