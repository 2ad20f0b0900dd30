from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
import torch

from steersman_training.shards import Manifest, TokenFilter, batches, verify, write_shard


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Ten shards of 25 tokens; a token's residual is its number, exact in bfloat16."""
    shards = []
    for number in range(10):
        resid = torch.arange(number * 25, number * 25 + 25).bfloat16()[:, None]
        shards.append(write_shard(tmp_path, f"shard-{number:05d}.safetensors", {"resid": resid}))
    manifest = Manifest(
        model="m",
        fingerprint="f",
        chat_template_sha256="t",
        layer=0,
        d_model=1,
        source="s",
        seed=0,
        max_length=8,
        target_tokens=250,
        shards=tuple(shards),
    )
    manifest.save(tmp_path)
    return tmp_path


def read(folder: Path, count: int, *, batch_size: int, seed: int = 0, **options: Any) -> list[list[int]]:
    stream = batches(folder, Manifest.load(folder), batch_size=batch_size, seed=seed, **options)
    return [batch[:, 0].int().tolist() for batch in islice(stream, count)]


def flat(read_batches: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(read_batches))


def test_every_token_comes_once_an_epoch_where_batches_fill_the_groups(numbered: Path) -> None:
    for epoch in range(2):
        tokens = flat(read(numbered, 10, batch_size=25, skip=10 * epoch))
        assert sorted(tokens) == list(range(250))


def test_no_token_comes_twice_in_an_epoch(numbered: Path) -> None:
    whole_batches = 100 // 30 * 2 + 50 // 30  # groups of 100, 100 and 50 tokens
    tokens = flat(read(numbered, whole_batches, batch_size=30))
    assert len(set(tokens)) == len(tokens) == 210


def test_what_an_epoch_leaves_out_is_not_what_the_next_one_does(numbered: Path) -> None:
    first, second = (
        set(range(250)) - set(flat(read(numbered, 7, batch_size=30, skip=7 * epoch))) for epoch in range(2)
    )
    assert first != second


@pytest.mark.parametrize("skip", [1, 3, 7, 8, 20])
def test_skipping_equals_consuming(numbered: Path, skip: int) -> None:
    assert read(numbered, 5, batch_size=30, skip=skip) == read(numbered, 5 + skip, batch_size=30)[skip:]


def test_tokens_of_several_shards_share_a_batch(numbered: Path) -> None:
    assert len({token // 25 for token in read(numbered, 1, batch_size=25)[0]}) > 1


def test_the_seed_fixes_the_order(numbered: Path) -> None:
    assert read(numbered, 9, batch_size=30) == read(numbered, 9, batch_size=30)
    assert read(numbered, 9, batch_size=30) != read(numbered, 9, batch_size=30, seed=1)


def test_a_harvest_too_small_for_a_batch_is_refused(numbered: Path) -> None:
    with pytest.raises(ValueError, match="250 tokens: too few for a batch of 1,000"):
        read(numbered, 1, batch_size=1000)


def test_whole_shards_pass_verification(numbered: Path) -> None:
    verify(numbered, Manifest.load(numbered))


def test_an_altered_shard_is_found(numbered: Path) -> None:
    path = numbered / "shard-00003.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"shard-00003\.safetensors has SHA-256"):
        verify(numbered, Manifest.load(numbered))


def test_a_missing_shard_is_found(numbered: Path) -> None:
    (numbered / "shard-00003.safetensors").unlink()
    with pytest.raises(ValueError, match=r"shard-00003\.safetensors is missing"):
        verify(numbered, Manifest.load(numbered))


def test_pools_draw_from_all_shards_and_an_epoch_reads_each_token_once(numbered: Path) -> None:
    read_twice = flat(read(numbered, 20, batch_size=25, pool_tokens=50))
    for tokens in (read_twice[:250], read_twice[250:]):
        assert sorted(tokens) == list(range(250))
        for pool in (tokens[:50], tokens[-50:]):
            assert {token // 25 for token in pool} == set(range(10))
    assert read_twice[:250] != read_twice[250:]


def test_skipping_equals_consuming_across_pools(numbered: Path) -> None:
    whole = read(numbered, 24, batch_size=25, pool_tokens=50)
    for skip in (1, 2, 9, 10, 13):
        assert read(numbered, 24 - skip, batch_size=25, pool_tokens=50, skip=skip) == whole[skip:]


def test_a_filter_gives_only_tokens_of_its_roles_and_kinds(tmp_path: Path) -> None:
    role, kind = torch.arange(120) % 3, torch.arange(120) // 3 % 4
    tensors = {"resid": torch.arange(120).bfloat16()[:, None], "role": role.byte(), "kind": kind.byte()}
    shards = [write_shard(tmp_path, "shard-00000.safetensors", tensors)]
    manifest = Manifest("m", "f", "t", 0, 1, "s", 0, 8, 120, shards=tuple(shards))
    keep = TokenFilter(roles=("user", "assistant"), kinds=("content",))
    (batch,) = islice(batches(tmp_path, manifest, batch_size=20, seed=0, keep=keep), 1)
    chosen = [n for n in range(120) if n % 3 in (1, 2) and n // 3 % 4 == 2]
    assert sorted(batch[:, 0].int().tolist()) == chosen


def test_a_filter_of_an_unknown_role_is_refused() -> None:
    with pytest.raises(ValueError, match="'tool' is none of system, user, assistant"):
        TokenFilter(roles=("tool",))
