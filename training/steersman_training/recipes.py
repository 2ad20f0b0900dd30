"""Recipes: functions that return a whole `TrainConfig`."""

from collections.abc import Callable

from steersman_training.train_config import BatchTopK, Matryoshka, StandardL1, TrainConfig


def smollm2_135m_cpu() -> TrainConfig:
    """SmolLM2-135M on two CPU cores: BatchTopK, 4,608 features."""
    return TrainConfig(
        architecture=BatchTopK(k=48), d_sae=4608, num_samples=8_000_000, lr_warmup=0.05, dead_after=500_000
    )


def smollm2_135m_l1_april() -> TrainConfig:
    """SmolLM2-135M by Anthropic's April 2024 recipe, but with a short run's learning rate."""
    return TrainConfig(
        architecture=StandardL1(), d_sae=4608, num_samples=8_000_000, lr=5e-4, dead_after=500_000
    )


def smollm2_135m_matryoshka() -> TrainConfig:
    """SmolLM2-135M: Matryoshka-BatchTopK, 4,608 features in five nested groups."""
    return TrainConfig(
        architecture=Matryoshka(k=48), d_sae=4608, num_samples=8_000_000, lr_warmup=0.05, dead_after=500_000
    )


def llama3_8b_instruct_l19_april() -> TrainConfig:
    """Llama-3-8B-Instruct, block 19, by Anthropic's April 2024 recipe, 200,000 steps. Not yet run."""
    return TrainConfig(
        architecture=StandardL1(),
        d_sae=65_536,
        num_samples=819_200_000,
        batch_size=4096,
        dead_after=10_000_000,
    )


def llama3_8b_instruct_l19_batchtopk() -> TrainConfig:
    """Llama-3-8B-Instruct, block 19: BatchTopK, 65,536 features, one GPU with 80 GB. Not yet run."""
    return TrainConfig(
        architecture=BatchTopK(k=64),
        d_sae=65_536,
        num_samples=500_000_000,
        batch_size=8192,
        lr_warmup=0.01,
        dead_after=10_000_000,
    )


def llama3_8b_instruct_l19_matryoshka() -> TrainConfig:
    """Llama-3-8B-Instruct, block 19: Matryoshka-BatchTopK, 65,536 features in five groups. Not yet run."""
    return TrainConfig(
        architecture=Matryoshka(k=64),
        d_sae=65_536,
        num_samples=500_000_000,
        batch_size=8192,
        lr_warmup=0.01,
        dead_after=10_000_000,
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    recipe.__name__: recipe
    for recipe in (
        smollm2_135m_cpu,
        smollm2_135m_l1_april,
        smollm2_135m_matryoshka,
        llama3_8b_instruct_l19_april,
        llama3_8b_instruct_l19_batchtopk,
        llama3_8b_instruct_l19_matryoshka,
    )
}
