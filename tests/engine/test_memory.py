"""What is free, and what a model takes."""

from pathlib import Path

import psutil
import pytest
import torch
from tests.soak.tiny import write_tiny

from steersman_engine import needs
from steersman_engine.bundle import Bundle
from steersman_engine.local_engine import EngineConfig
from steersman_engine.memory import OutOfMemoryError, free_memory
from steersman_engine.model_files import ModelFiles
from steersman_engine.needs import RUNTIME_BYTES, Needs

V2 = {"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 600\ninactive_file 50"}
V1 = {
    "memory.limit_in_bytes": "1000",
    "memory.usage_in_bytes": "700",
    "memory.stat": "total_inactive_file 50",
}
CPU = torch.device("cpu")


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("group", "at", "files"),
    [
        ("0::/", "sys/fs/cgroup", V2),
        ("0::/a/b", "sys/fs/cgroup/a", V2),
        ("0::/docker/not-seen-from-inside", "sys/fs/cgroup", V2),
        ("5:cpu:/\n4:memory:/a/b", "sys/fs/cgroup/memory/a/b", V1),
        ("4:memory:/docker/not-seen-from-inside", "sys/fs/cgroup/memory", V1),
    ],
)
def test_a_container_s_limit_counts_less_what_it_holds_beyond_its_cache(tmp_path, group, at, files):
    put(tmp_path, {"proc/self/cgroup": group, **{f"{at}/{name}": text for name, text in files.items()}})
    assert free_memory(tmp_path) == 350


def test_the_narrowest_of_groups_within_groups_counts(tmp_path):
    inner = {f"sys/fs/cgroup/a/b/{name}": text for name, text in V2.items()}
    outer = {f"sys/fs/cgroup/a/{name}": text for name, text in (V2 | {"memory.max": "800"}).items()}
    put(tmp_path, {"proc/self/cgroup": "0::/a/b", **inner, **outer})
    assert free_memory(tmp_path) == 150


@pytest.mark.parametrize("groups", [{}, {"proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "max"}])
def test_without_a_limit_it_is_the_machine_s(tmp_path, groups):
    put(tmp_path, groups)
    now = psutil.virtual_memory()
    assert 0 < free_memory(tmp_path) <= now.total


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, tiny_tokenizer):
    """A model's files, and its bundle's manifest."""
    model, bundle = write_tiny(tmp_path_factory.mktemp("memory"), tiny_tokenizer)
    return ModelFiles.of(model), Bundle(bundle).manifest


def needs_of(tiny, **config) -> Needs:
    files, manifest = tiny
    return Needs.of(files, manifest, device=CPU, dtype=torch.bfloat16, config=EngineConfig(**config))


def test_what_a_model_takes_is_known_from_its_files(tiny):
    found = needs_of(tiny, num_slots=3)
    embeddings, block = 2 * 259 * 32, 32 * 32 * 2 + 2 * 32 * 16 + 3 * 32 * 64 + 2 * 32
    assert found.weights == 2 * (embeddings + 4 * block + 32)
    assert found.sae == 4 * 2 * 32 * 24
    assert found.kv == 2 * 3 * 512 * (2 * 4 * 2 * 8 + 32)
    assert found.at_start == found.weights + found.sae + RUNTIME_BYTES


def test_a_model_that_does_not_fit_is_refused_with_both_sizes(tiny, monkeypatch):
    monkeypatch.setattr(needs, "free_memory", lambda: RUNTIME_BYTES)
    with pytest.raises(
        OutOfMemoryError, match=r"weights 0 MiB.* 770 MiB are free; --dtype bfloat16 takes less"
    ):
        needs_of(tiny).check()


def test_answers_that_may_come_not_to_fit_are_warned_of(tiny, monkeypatch):
    found = needs_of(tiny)
    monkeypatch.setattr(needs, "free_memory", lambda: found.at_most - 1)
    assert "lower --kv-gib or --slots" in (found.check() or "")
    monkeypatch.setattr(needs, "free_memory", lambda: found.at_most)
    assert found.check() is None
