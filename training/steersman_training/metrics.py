"""What an evaluation measures; the JSON file it writes has these fields.

A split by role has a key `all` and one for each role that occurs: the role of the position whose
residual is reconstructed. Positions that are attention sinks are never replaced.
"""

from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.table import Table


class Reconstruction(Struct, frozen=True, kw_only=True):
    """How well the SAE rebuilds the residual stream, over positions that are no sinks."""

    tokens: int
    l0: float
    """Mean number of active features."""
    explained_variance: float
    """1 − Σ‖x − x̂‖² / Σ‖x − mean‖², with the mean of these positions."""
    mse: float
    """Mean squared error of an entry, in raw residual units."""
    cosine: float
    """Mean cosine of x and x̂."""


class NextToken(Struct, frozen=True, kw_only=True):
    """What the model loses when x̂ stands in for x, over all positions that have a next token.

    Fidelity is `(ce_sae − ce_plain) / (ce_ablated − ce_plain)`: 0 is a perfect reconstruction, 1 is no
    better than the ablation. It is the metric of Goodfire's "Understanding and Steering Llama 3 with
    Sparse Autoencoders" (2024), and 1 − "loss recovered" of others.
    """

    tokens: int
    ce_plain: float
    """Cross-entropies are in nats."""
    ce_sae: float
    ce_zero: float
    """Every residual replaced by zero."""
    ce_mean: float
    """Every residual replaced by the mean residual."""
    delta_ce: float
    """`ce_sae − ce_plain`."""
    kl: float
    """KL(plain ‖ SAE), in nats."""
    fidelity_zero: float
    fidelity_mean: float


class Usage(Struct, frozen=True, kw_only=True):
    """How often features are active, on more tokens than the rest is measured on."""

    splits: tuple[str, ...]
    tokens: int
    dead: float
    """Share of features that were active on none of `tokens`."""
    num_dead: int
    always_on: float
    """Share that were active on more than a tenth."""
    log10_density_edges: tuple[float, ...]
    log10_density_counts: tuple[int, ...]
    """Live features between each two edges; density is the share of tokens a feature is active on."""


class Metrics(Struct, frozen=True, kw_only=True):
    """An evaluation, with all that is needed to repeat it."""

    model: str
    fingerprint: str
    """Of the model's weights."""
    chat_template_sha256: str
    layer: int
    dtype: str
    """Of the model; the SAE and the sums are in float32 and above."""
    sae_sha256: str
    d_sae: int
    sink_norm: float
    source: str
    split: str
    seed: int
    """With the split, fixes which documents are read."""
    max_length: int
    num_documents: int
    reconstruction: dict[str, Reconstruction]
    next_token: dict[str, NextToken]
    usage: Usage


def table(metrics: Metrics) -> Table:
    """The metrics for a terminal."""
    usage = metrics.usage
    made = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"SAE of {metrics.model}, layer {metrics.layer}, on held-out chats of {metrics.source}",
        caption=(
            "EV: explained variance · fidelity to zero and to mean ablation, lower is better\n"
            f"dead: {usage.num_dead} of {metrics.d_sae:,} features on {usage.tokens:,} tokens"
        ),
    )
    for column in ("role", "tokens", "L0", "EV", "cos", "CE", "ΔCE", "KL", "fid. zero", "mean"):
        made.add_column(column, justify="left" if column == "role" else "right", no_wrap=True)
    for role, rebuilt in metrics.reconstruction.items():
        cells = [role, f"{rebuilt.tokens:,}", f"{rebuilt.l0:.1f}", f"{rebuilt.explained_variance:.3f}"]
        cells.append(f"{rebuilt.cosine:.3f}")
        if loss := metrics.next_token.get(role):
            cells += [f"{loss.ce_plain:.3f}", f"{loss.delta_ce:.3f}", f"{loss.kl:.3f}"]
            cells += [f"{loss.fidelity_zero:.4f}", f"{loss.fidelity_mean:.4f}"]
        made.add_row(*cells)
    return made
