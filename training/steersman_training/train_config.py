"""Everything that shapes a training run beside its data. No torch: commands and recipes read it.

The length of a token's residual is scaled to √d_model on average before anything is learnt, so that penalties
and thresholds mean the same for every model.
"""

from typing import ClassVar, Literal

from msgspec import Struct
from msgspec.structs import asdict, replace

DType = Literal["auto", "bfloat16", "float32"]


class Architecture(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=str.lower
):
    """How activations are made sparse, and what is learnt from."""

    beta1: ClassVar[float] = 0.9
    """Of Adam, where the configuration names none; the next two likewise."""
    adam_eps: ClassVar[float] = 1e-8

    @classmethod
    def lr(cls, d_sae: int) -> float:
        """Learning rate, where the configuration names none."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """What configurations and tables call it."""
        return str(self.__struct_config__.tag)


class StandardL1(Architecture, frozen=True, kw_only=True, tag="standard_l1"):
    """ReLU, and the sum of activations times their decoder rows' norms as penalty.

    The recipe of Anthropic's April 2024 update, "Training SAEs". Its range of initial norms is 0.05 to 1.
    """

    l1: float = 5.0
    """Weight of the penalty, for inputs of length √d_model."""
    l1_warmup: float = 0.05
    """Share of the steps in which it rises from 0."""
    target_l0: float | None = None
    """After the warm-up the penalty's weight follows this number of active features a token."""
    decoder_init_norm: float = 0.1

    @classmethod
    def lr(cls, d_sae: int) -> float:
        """As the April 2024 update has it."""
        return 5e-5


class TopK(Architecture, frozen=True, kw_only=True, tag="topk"):
    """The k largest activations of each token (Gao et al. 2024, arXiv:2406.04093).

    Served with one threshold for all features, at which k are active on average: not k for each token.
    """

    k: int = 48
    """Active features a token."""
    aux_alpha: float = 1 / 32
    """Weight of AuxK, which brings dead features back; 0 turns it off."""
    threshold_decay: float = 0.99
    """Of the moving average that becomes the served threshold; one update a step."""

    adam_eps: ClassVar[float] = 6.25e-10

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is {self.k}: at least one feature a token must be active.")

    @classmethod
    def lr(cls, d_sae: int) -> float:
        """By width, as section 2.3 of the paper has it."""
        return 2e-4 / (d_sae / 2**14) ** 0.5


class BatchTopK(TopK, frozen=True, kw_only=True, tag="batch_topk"):
    """The k largest a token on average over the batch (Bussmann et al. 2024, arXiv:2412.06410)."""


class Matryoshka(TopK, frozen=True, kw_only=True, tag="matryoshka"):
    """BatchTopK whose first features must do alone as well (Bussmann et al. 2025, arXiv:2503.17547)."""

    fractions: tuple[float, ...] = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 17 / 32)
    """Sizes of the groups of features; reconstructions from the first one, two, … are all learnt from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if abs(sum(self.fractions) - 1) > 1e-6 or min(self.fractions) <= 0:
            raise ValueError(f"fractions are {self.fractions}: they must be above 0 and add up to 1.")


class JumpReLU(Architecture, frozen=True, kw_only=True, tag="jump_relu"):
    """A learnt threshold a feature (arXiv:2407.14435), with the losses of Anthropic's January 2025 update.

    The sparsity penalty is Σ tanh(c · activation · decoder norm); its weight rises over the whole run.
    """

    sparsity: float = 10.0
    """Weight of the penalty; 10 to 20 there."""
    sparsity_warmup: float = 1.0
    """Share of the steps in which it rises from 0."""
    target_l0: float | None = None
    """The penalty's weight follows this number of active features a token."""
    tanh_scale: float = 4.0
    """c."""
    pre_act: float = 3e-6
    """Weight of what brings features back: how far below their threshold pre-activations are."""
    bandwidth: float = 2.0
    """Around a threshold, where its gradient is estimated."""
    threshold_init: float = 0.1
    initial_l0: float = 10_000.0
    """Active features a token at the start; at most half of all."""

    @classmethod
    def lr(cls, d_sae: int) -> float:
        """As the January 2025 update has it."""
        return 2e-4


class Gated(Architecture, frozen=True, kw_only=True, tag="gated"):
    """A gate beside each activation (Rajamanoharan et al. 2024, arXiv:2404.16014); served as JumpReLU."""

    l1: float = 5.0
    """Weight of the penalty on open gates, for inputs of length √d_model."""
    l1_warmup: float = 0.05
    """Share of the steps in which it rises from 0."""
    target_l0: float | None = None
    """After the warm-up the penalty's weight follows this number of active features a token."""

    beta1: ClassVar[float] = 0.0

    @classmethod
    def lr(cls, d_sae: int) -> float:
        """As the paper's authors' code has it."""
        return 5e-5


AnyArchitecture = StandardL1 | TopK | BatchTopK | Matryoshka | JumpReLU | Gated
ARCHITECTURES: dict[str, type[Architecture]] = {
    str(each.__struct_config__.tag): each
    for each in (StandardL1, TopK, BatchTopK, Matryoshka, JumpReLU, Gated)
}


class TrainConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run.

    Raises:
        ValueError: A value cannot be.
    """

    architecture: AnyArchitecture
    d_sae: int
    """Number of features."""
    num_samples: int
    """Tokens to learn from; a harvest that holds fewer is read again."""
    batch_size: int = 2048
    """Tokens a step, of all processes together."""
    lr: float | None = None
    """Highest learning rate of Adam; where none is given, what the architecture's authors used."""
    lr_warmup: float = 0.0
    """Share of the steps in which the learning rate rises from 0."""
    lr_decay: float = 0.2
    """Share of the steps, the last ones, in which it falls to 0."""
    beta1: float | None = None
    """Of Adam; where none is given, what the architecture's authors used."""
    beta2: float = 0.999
    adam_eps: float | None = None
    """Of Adam; where none is given, what the architecture's authors used."""
    max_grad_norm: float = 1.0
    """Longer gradients are shortened to this."""
    dead_after: int
    """Tokens after which a silent feature is dead; densities are counted over as many."""
    dtype: DType = "auto"
    """Of the products; weights, sums and the optimiser are float32. `auto`: bfloat16 where the processor
    has it."""
    roles: tuple[str, ...] | None = None
    """Learn only from tokens of these roles."""
    kinds: tuple[str, ...] | None = None
    """Learn only from tokens of these kinds: content, template, …"""
    seed: int = 0
    """Fixes the first weights and the order of the tokens."""

    def __post_init__(self) -> None:
        if self.d_sae < 1:
            raise ValueError(f"d_sae is {self.d_sae}: there must be a feature.")
        k = getattr(self.architecture, "k", 1)
        if k > self.d_sae:
            raise ValueError(f"k is {k}: it must be 1 to d_sae, {self.d_sae}.")
        if self.num_samples < self.batch_size:
            raise ValueError(f"num_samples is {self.num_samples}, less than a batch of {self.batch_size}.")
        for name in ("lr_warmup", "lr_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it is a share of the steps, 0 to 1.")

    @property
    def num_steps(self) -> int:
        """Optimiser steps, of one batch each."""
        return self.num_samples // self.batch_size

    def resolved(self, dtype: Literal["bfloat16", "float32"]) -> "TrainConfig":
        """The same with every default written out; `dtype` is what `auto` stands for."""
        chosen = self.architecture
        return replace(
            self,
            lr=chosen.lr(self.d_sae) if self.lr is None else self.lr,
            beta1=chosen.beta1 if self.beta1 is None else self.beta1,
            adam_eps=chosen.adam_eps if self.adam_eps is None else self.adam_eps,
            dtype=dtype if self.dtype == "auto" else self.dtype,
        )

    def with_architecture(self, name: str) -> "TrainConfig":
        """The same with another architecture, which keeps the options that both have.

        Raises:
            KeyError: There is no such architecture.
        """
        kind = ARCHITECTURES[name]
        kept = {
            key: value for key, value in asdict(self.architecture).items() if key in kind.__struct_fields__
        }
        return replace(self, architecture=kind(**kept))
