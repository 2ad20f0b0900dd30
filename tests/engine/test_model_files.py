"""A model that is not whole is found out before it is loaded."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.soak.tiny import write_tiny

from steersman_engine import needs, pull, serving
from steersman_engine.bundle import SAE_FILE, Bundle, BundleError
from steersman_engine.choice import check_shape, device_of, files_of
from steersman_engine.model_files import ModelFiles
from steersman_engine.presets import DEFAULT_MODEL
from steersman_engine.pull import PullError
from steersman_engine.serving import load


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_tokenizer) -> Path:
    return write_tiny(tmp_path_factory.mktemp("files"), tiny_tokenizer)[0]


@pytest.fixture
def model(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "model")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def shard(path: Path) -> None:
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    (path.parent / "model.safetensors.index.json").write_text(json.dumps(index))
    path.rename(path.parent / "model-1-of-2.safetensors")


@pytest.mark.parametrize(
    ("file", "harm", "said"),
    [
        ("config.json", Path.unlink, "has no config.json"),
        ("tokenizer.json", Path.unlink, "has no tokenizer.json"),
        ("model.safetensors", Path.unlink, "has no model.safetensors"),
        ("model.safetensors", cut, "model.safetensors is damaged or was not wholly fetched"),
        ("model.safetensors", shard, "has no model-2-of-2.safetensors"),
        ("config.json", lambda path: path.write_text("{}"), "config.json is of no model"),
    ],
)
def test_what_is_missing_is_named(model, file, harm, said):
    harm(model / file)
    with pytest.raises(ValueError, match=said):
        ModelFiles.of(model)


def test_a_folder_that_is_not_there_is_no_name_on_the_hub(tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        files_of(str(tmp_path / "nothing"), tmp_path)


def test_a_model_that_is_not_fetched_yet_has_no_files(tmp_path):
    assert files_of(DEFAULT_MODEL, tmp_path) is None


def test_a_bundle_for_another_width_is_refused_by_the_files_alone(whole):
    with pytest.raises(
        BundleError, match=r"width 576 with a layer 18; .* is of width 32 and has layers 0 to 3"
    ):
        check_shape(ModelFiles.of(whole), Bundle.named("smollm2-135m").manifest)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder, _: (folder / "bundle" / SAE_FILE).write_bytes(b"other"), "it was altered"),
        (
            lambda folder, _: cut(folder / "tiny" / "model.safetensors"),
            "is damaged or was not wholly fetched",
        ),
        (lambda _, patch: patch.setattr(needs, "free_memory", lambda: 0), "Not enough memory"),
    ],
    ids=["bundle", "model", "memory"],
)
def test_what_will_not_do_is_found_before_weights_are_read(whole, tmp_path, monkeypatch, harm, said):
    folder = shutil.copytree(whole.parent, tmp_path / "all")
    monkeypatch.setattr(serving, "load_model", lambda *_, **__: pytest.fail("Weights were read."))
    harm(folder, monkeypatch)
    with pytest.raises(ValueError, match=said):
        load(str(folder / "tiny"), str(folder / "bundle"), device="cpu", dtype="float32", cache=tmp_path)


def test_a_full_disk_is_found_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(pull.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 2**20))
    with pytest.raises(PullError, match=r"needs 500 MiB, and its disk has 1 MiB left: .* --cache-dir"):
        pull.pull(DEFAULT_MODEL, tmp_path)


@pytest.mark.parametrize(
    ("name", "said"), [("gpu", "'gpu' is no device"), ("cuda:64", "There is no cuda:64")]
)
def test_a_device_that_is_not_there_is_refused(name, said):
    with pytest.raises(ValueError, match=said):
        device_of(name)


def test_a_device_that_is_there_is_found():
    assert device_of("cpu") == torch.device("cpu")
