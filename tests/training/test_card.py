import msgspec

from steersman_training.card import how, train_flags
from steersman_training.overrides import configured, read_settings
from steersman_training.recipes import RECIPES, smollm2_135m_cpu
from steersman_training.train_config import TrainConfig


def training(config: TrainConfig) -> dict:
    """As a bundle keeps it."""
    flat = msgspec.to_builtins(config)
    own = flat.pop("architecture")
    return {"architecture": own.pop("kind"), "config": own | flat}


def test_the_flags_on_a_card_make_the_same_configuration_again() -> None:
    for name in RECIPES:
        config = RECIPES[name]().resolved("float32")
        flags = train_flags(training(config))
        given = read_settings(flag.removeprefix("--set ").strip("'") for flag in flags[1:])
        architecture = flags[0].removeprefix("--architecture ")
        made = configured({"architecture": architecture, "dtype": "float32", **given}, d_model=1)
        assert made.resolved("float32") == config, name


def test_what_it_does_anyway_is_not_said() -> None:
    assert train_flags(training(smollm2_135m_cpu().resolved("float32"))) == ["--architecture batch_topk"]


def test_a_card_says_what_decides_the_l0() -> None:
    assert how(training(smollm2_135m_cpu())) == "`batch_topk`, k = 48"
    assert how(training(RECIPES["smollm2_135m_l1_april"]())) == "`standard_l1`, l1 = 5.0"
