from pathlib import Path

import pytest
from msgspec.structs import replace

from steersman_training.overrides import as_toml, configured, field_docs, overridden, read_settings, read_toml
from steersman_training.recipes import RECIPES
from steersman_training.train_config import (
    ARCHITECTURES,
    BatchTopK,
    Gated,
    Matryoshka,
    StandardL1,
    TopK,
    TrainConfig,
)

CONFIG = TrainConfig(architecture=BatchTopK(k=4), d_sae=64, num_samples=1000, batch_size=100, dead_after=500)


def of(**settings) -> TrainConfig:
    return configured(settings, d_model=16)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_as_toml_is_the_recipe(name: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(as_toml(RECIPES[name]()))
    assert configured({**read_toml(path), "recipe": name}, d_model=16) == RECIPES[name]()


@pytest.mark.parametrize("kind", [TrainConfig, *ARCHITECTURES.values()])
def test_every_setting_is_explained(kind: type) -> None:
    unexplained = set(kind.__struct_fields__) - set(field_docs(kind)) - {"architecture"}
    assert unexplained <= {"batch_size", "decoder_init_norm", "threshold_init", "beta2"}


def test_settings_reach_the_run_and_the_architecture() -> None:
    config = of(k=7, lr=1e-4)
    assert isinstance(config.architecture, BatchTopK)
    assert (config.architecture.k, config.lr) == (7, 1e-4)


def test_another_architecture_keeps_what_both_have() -> None:
    assert of(recipe="smollm2_135m_cpu", architecture="topk", k=9).architecture == TopK(k=9)
    assert of(architecture="gated").architecture == Gated()


def test_expansion_is_a_multiple_of_the_model_s_width() -> None:
    assert of(expansion=8).d_sae == 128


def test_a_width_in_either_form_overrides_a_recipe_s() -> None:
    written = {"d_sae": 64, "k": 4}
    assert configured(overridden(written, {"expansion": 8}), d_model=16).d_sae == 128
    assert configured(overridden({"expansion": 8}, written), d_model=16).d_sae == 64


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"recipe": "smollm2_135m_gpu"}, "no recipe 'smollm2_135m_gpu'. Did you mean smollm2_135m_cpu"),
        ({"learning_rate": 1}, "no setting of batch_topk 'learning_rate'"),
        ({"lr_warm_up": 0.1}, "Did you mean lr_warmup"),
        ({"l1": 5}, "no setting of batch_topk 'l1'"),
        ({"architecture": "batchtopk"}, "Did you mean batch_topk"),
        ({"d_sae": 64, "expansion": 4}, "say the same"),
        ({"lr": "fast"}, r"Expected `float \| null`, got `str` \(lr\)"),
        ({"k": 0}, "k is 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        of(**settings)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architecture": BatchTopK(k=65)}, "k is 65"),
        ({"num_samples": 99}, "num_samples is 99"),
        ({"lr_decay": 2.0}, "lr_decay is 2.0"),
        ({"d_sae": 0}, "d_sae is 0"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changed)


def test_groups_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        Matryoshka(fractions=(0.5, 0.25))


def test_resolving_writes_out_what_the_architecture_s_authors_used() -> None:
    config = replace(CONFIG, architecture=Gated()).resolved("bfloat16")
    assert (config.lr, config.beta1, config.adam_eps, config.dtype) == (5e-5, 0.0, 1e-8, "bfloat16")


def test_the_april_recipe_is_as_published() -> None:
    config = RECIPES["llama3_8b_instruct_l19_april"]().resolved("bfloat16")
    assert isinstance(config.architecture, StandardL1)
    assert (config.architecture.l1, config.architecture.l1_warmup) == (5.0, 0.05)
    assert (config.lr, config.lr_warmup, config.lr_decay) == (5e-5, 0.0, 0.2)
    assert (config.beta1, config.beta2, config.max_grad_norm) == (0.9, 0.999, 1.0)
    assert (config.num_steps, config.batch_size) == (200_000, 4096)


def test_set_takes_toml_values_and_bare_words() -> None:
    given = ["lr=1e-4", "dtype=float32", "fractions=[0.5, 0.5]", "target-l0=40"]
    assert read_settings(given) == {"lr": 1e-4, "dtype": "float32", "fractions": [0.5, 0.5], "target_l0": 40}


def test_set_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="write NAME=VALUE"):
        read_settings(["lr"])


def test_a_toml_file_with_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[architecture]\nk = 3\n")
    with pytest.raises(ValueError, match=r"table \[architecture\]"):
        read_toml(tmp_path / "c.toml")
