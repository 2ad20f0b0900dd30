import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest

from steersman.cli import main
from steersman_training import commands
from steersman_training.train import FACTS, SAE_FILE


def test_the_commands_load_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'duckdb'}"
    code = f"import sys, steersman_training.commands; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["harvest", "train", "evaluate"])
def test_a_command_shows_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert f"steersman {name}" in capsys.readouterr().out


def test_train_overrides_the_recipe(random_harvest: Path, tmp_path: Path) -> None:
    argv = ["train", "--harvest", str(random_harvest), "--out", str(tmp_path / "sae"), "--device", "cpu"]
    main([*argv, "--d-sae", "32", "--k", "2", "--batch-size", "100", "--num-samples", "400"])
    written = (tmp_path / "sae" / FACTS).read_text()
    assert '"d_sae": 32' in written
    assert (tmp_path / "sae" / SAE_FILE).is_file()


def test_a_model_that_is_no_preset_needs_a_layer() -> None:
    parser = ArgumentParser()
    commands.add_model_arguments(parser)
    with pytest.raises(ValueError, match="somebody/model is no preset, so its layer is not known"):
        commands.open_host(parser.parse_args(["--model", "somebody/model"]))
