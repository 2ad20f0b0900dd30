"""What `steersman label` takes from the harvest or the bundle, and what it does not."""

from argparse import ArgumentParser
from pathlib import Path

import pytest

from steersman_training.labelling.command import _config, command
from steersman_training.labelling.config import LabelConfig
from steersman_training.shards import Manifest


def config_of(out: Path, *given: str) -> LabelConfig:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return _config(parser.parse_args(["plan", "--out", str(out), "--device", "cpu", *given]))


@pytest.fixture
def harvest(random_harvest: Path) -> tuple[str, ...]:
    return ("--harvest", str(random_harvest), "--sae", "sae.safetensors")


def test_model_layer_source_and_sinks_are_the_harvest_s(harvest: tuple[str, ...], tmp_path: Path) -> None:
    manifest, config = Manifest.load(Path(harvest[1])), config_of(tmp_path, *harvest)
    assert (config.model, config.layer) == (manifest.model, manifest.layer)
    assert (config.source, config.sink_norm) == (manifest.source, manifest.sink_norm)


def test_another_source_can_be_named(harvest: tuple[str, ...], tmp_path: Path) -> None:
    assert config_of(tmp_path, *harvest, "--source", "mine.jsonl").source == "mine.jsonl"


@pytest.mark.parametrize("wrong", [("--model", "other"), ("--layer", "99")])
def test_another_model_or_layer_than_the_harvest_s_is_refused(
    harvest: tuple[str, ...], tmp_path: Path, wrong: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="leave --model and --layer out"):
        config_of(tmp_path, *harvest, *wrong)


def test_a_bundle_says_all_that_is_needed(tmp_path: Path) -> None:
    config = config_of(tmp_path, "--bundle", "smollm2-135m")
    assert (config.model, config.layer, config.source) == ("smollm2-135m-instruct", 18, "sharegpt")


def test_without_either_layer_and_sinks_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pass --layer and --sink-norm"):
        config_of(tmp_path, "--sae", "sae.safetensors")
    config = config_of(tmp_path, "--sae", "sae.safetensors", "--sink-norm", "9")
    assert (config.model, config.layer, config.sink_norm) == ("smollm2-135m-instruct", 18, 9.0)
