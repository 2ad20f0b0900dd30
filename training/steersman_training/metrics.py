"""What an evaluation measures; the JSON file it writes has these fields.

What is measured by part has a key `all`, one for each role that occurs, and `content` and `special`: what
somebody wrote, and what the chat template put around it. A position's part is that of the residual that is
reconstructed there. Positions that are attention sinks are never replaced. Intervals are 95 % and say how
much other documents would have changed a figure: documents are drawn anew, whole (bootstrap).
"""

from msgspec import Struct
from rich.box import SIMPLE_HEAD
from rich.table import Table

Interval = tuple[float, float]


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
    intervals: dict[str, Interval] = {}
    """Of `l0` and `explained_variance`, the latter about a fixed mean."""


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
    intervals: dict[str, Interval] = {}
    """Of `delta_ce`, `kl` and the fidelities."""


class PartUsage(Struct, frozen=True, kw_only=True):
    """How often features are active on some of the tokens."""

    tokens: int
    dead: float
    """Share of features that were active on none."""
    rare: float
    """Share that were active, but on fewer than one in 100,000."""
    always_on: float
    """Share that were active on more than a tenth."""


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
    rare: float = 0.0
    """Share that were active, but on fewer than one in 100,000."""
    parts: dict[str, PartUsage] = {}


class Geometry(Struct, frozen=True, kw_only=True):
    """How alike features are."""

    max_cosine_mean: float
    """Of each feature's decoder row with the one that points most alike, over features."""
    max_cosine_median: float
    max_cosine_p99: float
    max_cosine: float
    echo_cosine: float
    """Features echo each other when their decoder rows have at least this cosine, and"""
    echo_overlap: float
    """of the tokens on which either is active, both are on at least this share."""
    num_echo_groups: int
    num_echoing: int
    """Features that are in a group."""
    echo_groups: tuple[tuple[int, ...], ...]
    """The largest groups, by feature."""


class Untrained(Struct, frozen=True, kw_only=True):
    """The same measurements of an SAE that nobody trained: what a figure has to beat.

    Random decoder rows, the encoder their transpose, one threshold that gives the same L0, the best
    single scale, and the mean residual as its bias.
    """

    reconstruction: dict[str, Reconstruction]
    next_token: dict[str, NextToken]
    usage: Usage
    geometry: Geometry


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
    geometry: Geometry | None = None
    untrained: Untrained | None = None


def table(metrics: Metrics) -> Table:
    """The metrics for a terminal."""
    made = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=f"SAE of {metrics.model}, layer {metrics.layer}, on held-out chats of {metrics.source}",
        caption="EV: explained variance · fidelity to zero and to mean ablation, lower is better\n"
        + _features(metrics),
        caption_justify="left",
    )
    for column in ("", "tokens", "L0", "EV", "cos", "CE", "ΔCE", "KL", "fid. zero", "mean"):
        made.add_column(column, justify="right" if column else "left", no_wrap=True)
    for part, rebuilt in metrics.reconstruction.items():
        loss = metrics.next_token.get(part)
        made.add_row(part, *_cells(rebuilt, loss))
        if part == "all" and rebuilt.intervals:
            made.add_row(" ± 95 %", "", *_margins(rebuilt, loss), style="dim", end_section=True)
    if beaten := metrics.untrained:
        made.add_section()
        made.add_row("untrained", *_cells(beaten.reconstruction["all"], beaten.next_token.get("all")))
    return made


def _cells(rebuilt: Reconstruction, loss: NextToken | None) -> list[str]:
    cells = [f"{rebuilt.tokens:,}", f"{rebuilt.l0:.1f}", f"{rebuilt.explained_variance:.3f}"]
    cells.append(f"{rebuilt.cosine:.3f}")
    if loss:
        cells += [f"{loss.ce_plain:.3f}", f"{loss.delta_ce:.3f}", f"{loss.kl:.3f}"]
        cells += [f"{loss.fidelity_zero:.4f}", f"{loss.fidelity_mean:.4f}"]
    return cells


def _margins(rebuilt: Reconstruction, loss: NextToken | None) -> list[str]:
    found = {**rebuilt.intervals, **(loss.intervals if loss else {})}
    columns = {"l0": 1, "explained_variance": 3, "": 0, " ": 0}
    columns |= {"delta_ce": 3, "kl": 3, "fidelity_zero": 4, "fidelity_mean": 4}
    half = {name: (high - low) / 2 for name, (low, high) in found.items()}
    return [f"{half[name]:.{digits}f}" if name in half else "" for name, digits in columns.items()]


def _features(metrics: Metrics) -> str:
    lines = [_feature_line("of", metrics.usage, metrics.geometry, metrics.d_sae)]
    if beaten := metrics.untrained:
        lines.append(_feature_line("untrained:", beaten.usage, beaten.geometry, metrics.d_sae))
    return "\n".join(lines)


def _feature_line(begin: str, usage: Usage, geometry: Geometry | None, d_sae: int) -> str:
    line = (
        f"{begin} {d_sae:,} features on {usage.tokens:,} tokens: {usage.num_dead} dead,"
        f" {usage.rare:.1%} rare, {usage.always_on:.1%} always on"
    )
    if geometry:
        line += (
            f" · nearest decoder row, median cosine {geometry.max_cosine_median:.2f}"
            f" · {geometry.num_echoing} in {geometry.num_echo_groups} echo groups"
        )
    return line
