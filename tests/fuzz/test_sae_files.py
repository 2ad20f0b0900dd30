"""SAE files that are damaged, or made to do harm: read, or refused by name; never run, never a crash."""

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from tests.fuzz.cases import damaged, fuzz

from steersman_engine.sae import SAE
from steersman_training import formats
from steersman_training.formats import FormatError

TENSORS = {
    "W_enc": torch.eye(4),
    "b_enc": torch.zeros(4),
    "W_dec": torch.eye(4),
    "b_dec": torch.zeros(4),
    "threshold": torch.zeros(4),
}
WHOLE = save(TENSORS)


def raw(header: object, data: bytes = b"\0" * 64, length: int | None = None) -> bytes:
    """A safetensors file with any header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def changed(**tensors: torch.Tensor) -> bytes:
    return save(TENSORS | tensors)


HOSTILE = {
    "a header as large as the file system": raw({}, length=2**63),
    "a header of 4 GiB that is not there": raw({}, length=2**32),
    "overlapping offsets": raw({name: entry(0, 64, [4, 4]) for name in TENSORS}),
    "offsets beyond the end": raw({"W_enc": entry(0, 2**40, [2**19, 2**19])}),
    "a shape that overflows": raw({"W_enc": entry(0, 64, [2**63, 2**63])}),
    "whole numbers": changed(W_enc=torch.eye(4, dtype=torch.int64)),
    "another shape": changed(W_enc=torch.zeros(4)),
    "no features": changed(W_enc=torch.zeros(4, 0)),
    "NaN": changed(W_enc=torch.eye(4) * float("nan")),
    "infinity": changed(b_enc=torch.full((4,), float("inf"))),
    "NaN thresholds": changed(threshold=torch.full((4,), float("nan"))),
    "nothing": b"",
    "a pickle": b"\x80\x04cos\nsystem\n",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "sae.safetensors"
    path.write_bytes(HOSTILE[what])
    for read in (SAE.load, formats.read):
        with pytest.raises(ValueError, match=str(path)):
            read(path)


@fuzz
@given(damaged(WHOLE))
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path_factory: Any, content: bytes) -> None:
    path = tmp_path_factory.mktemp("sae") / "sae.safetensors"
    path.write_bytes(content)
    try:
        SAE.load(path)
    except ValueError as error:
        assert str(path) in str(error)


def pickled(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (pytest.fail, ("Code in a file was run.",))


@pytest.mark.parametrize(
    "content",
    [
        pickled(Evil()),
        pickled([torch.zeros(3)]),
        pickled({"encoder.weight": "text", "decoder.weight": 1, "bias": None, "encoder.bias": None}),
        pickled({"k": torch.zeros(3), "W_enc": torch.zeros(3)}),
        b"PK\x03\x04" + b"\0" * 100,
        b"",
    ],
)
@pytest.mark.parametrize("name", ["ae.pt", "sae.pth"])
def test_a_hostile_file_of_torch_s_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError):
        formats.read(tmp_path / name)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("k", "architecture", "activation", "normalize_activations", "metadata", "trainer", "d_in")


@fuzz
@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES).map(lambda made: json.dumps(made).encode())
    | st.binary(max_size=60)
    | st.just(b"[" * 100_000)
)
@pytest.mark.parametrize("weights", ["sae_weights.safetensors", "sae.safetensors"])
def test_any_configuration_is_read_or_refused(tmp_path_factory: Any, weights: str, config: bytes) -> None:
    folder = tmp_path_factory.mktemp("foreign")
    foreign = {"encoder.weight": torch.eye(4), "encoder.bias": torch.zeros(4), "W_dec": torch.eye(4)}
    save_file(TENSORS if "weights" in weights else foreign | {"b_dec": torch.zeros(4)}, folder / weights)
    (folder / "cfg.json").write_bytes(config)
    try:
        formats.read(folder)
    except FormatError as error:
        assert str(folder) in str(error)
