"""Small chats, and a harvest of random residuals."""

from pathlib import Path

import pytest
import torch

from steersman_training.chats import Chat
from steersman_training.shards import Manifest, write_shard


@pytest.fixture
def chats() -> list[Chat]:
    """Two hundred conversations of one to five messages."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(200):
        count = int(torch.randint(1, 6, (1,), generator=generator))
        roles = ("user", "assistant", "user", "assistant", "user")[:count]
        texts = [f"{role} says {number * 7 + turn}." for turn, role in enumerate(roles)]
        messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
        made.append(Chat(id=f"chat{number}_0", messages=messages))
    return made


@pytest.fixture
def random_harvest(tmp_path: Path) -> Path:
    """Seven shards, 1,040 tokens of 16 dimensions."""
    folder = tmp_path / "harvest"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(40, 16, generator=generator)
    acts = torch.rand(1040, 40, generator=generator) * (torch.rand(1040, 40, generator=generator) < 0.1)
    resid = (acts @ basis + 1).bfloat16()
    sizes = [160, 160, 160, 160, 160, 160, 80]
    shards = []
    for number, part in enumerate(resid.split(sizes)):
        shards.append(write_shard(folder, f"shard-{number:05d}.safetensors", {"resid": part}))
    manifest = Manifest(
        model="tiny",
        fingerprint="f",
        chat_template_sha256="t",
        layer=1,
        d_model=16,
        source="random",
        seed=0,
        max_length=64,
        target_tokens=1040,
        sink_norm=1e9,
        documents_done=1,
        shards=tuple(shards),
    )
    manifest.save(folder)
    return folder
