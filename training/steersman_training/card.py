"""A bundle's card: what a person wants to know before using it, with its numbers filled in."""

from pathlib import Path

from steersman_engine.bundle import BundleManifest
from steersman_training.metrics import Metrics

TEMPLATE = Path(__file__).with_name("card.md")


def card(manifest: BundleManifest, metrics: Metrics) -> str:
    """The card in Markdown."""
    rebuilt, loss = metrics.reconstruction["all"], metrics.next_token["all"]
    commands = (
        f"steersman evaluate --model {manifest.model} --sae sae.safetensors --out metrics.json",
        f"steersman harvest --model {manifest.model} --source {metrics.source}"
        f" --tokens {manifest.training['tokens']} --out runs/harvest",
        f"steersman train --harvest runs/harvest --num-samples {manifest.training['config']['num_samples']}"
        " --out runs/sae",
        f"steersman evaluate --model {manifest.model} --sae runs/sae/sae.safetensors"
        " --out runs/sae/metrics.json",
        "steersman catalog build --harvest runs/harvest --sae runs/sae/sae.safetensors --out runs/catalog.duckdb",
        f"steersman bundle --name {manifest.name} --run runs/sae --catalog runs/catalog.duckdb"
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
        k=manifest.training["config"]["k"],
        num_samples=manifest.training["config"]["num_samples"],
        train_tokens=manifest.training["tokens"],
        epochs=manifest.training["epochs"],
        max_length=manifest.training["max_length"],
        rest="\n".join(commands[1:]),
        licence=manifest.licence,
    )
