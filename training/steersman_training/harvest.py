"""Harvest: run chats through the model up to the layer, shuffle what it computes, write it to disk.

One conversation a row, the chat template applied once, long conversations cut (never joined),
attention sinks left out. Tokens of many documents are shuffled together in a buffer before they
reach disk. The order is fixed by the seed, and the manifest says after every flush how far it got, so
a harvest that was stopped goes on where it was.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import torch
from rich.progress import Progress
from torch import Tensor

from steersman_engine.host import HostModel
from steersman_engine.prompt import Prompt, chat_template_sha256, render
from steersman_engine.sinks import is_sink, sink_norm_of
from steersman_training.chats import Chat, Split
from steersman_training.shards import MANIFEST, Manifest, write_shard

GROUP_DOCUMENTS = 64
CHARACTERS_A_TOKEN = 16  # more than any conversation has on average


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestConfig:
    """What to harvest; every field shapes what is written."""

    source: str
    tokens: int
    """Stop after about so many."""
    max_length: int = 512
    """Tokens after which a conversation is cut."""
    seed: int = 0
    batch_tokens: int = 4096
    """Tokens, padding included, in one forward pass."""
    buffer_tokens: int = 262_144
    """Tokens shuffled together."""
    shard_tokens: int = 65_536


@dataclass(frozen=True, slots=True)
class Document:
    """A rendered conversation and its place in the order."""

    index: int
    id: str
    prompt: Prompt


def documents(
    chats: list[Chat], split: Split, tokenizer, *, max_length: int, seed: int, start: int = 0
) -> Iterator[Document]:
    """The conversations of a split in an order that `seed` fixes, rendered and cut to `max_length`."""
    chosen = [chat for chat in chats if chat.split == split]
    order = torch.randperm(len(chosen), generator=torch.Generator().manual_seed(seed)).tolist()
    for index in range(start, len(order)):
        chat = chosen[order[index]]
        head = _head(chat.messages, max_length * CHARACTERS_A_TOKEN)
        prompt = render(tokenizer, head, generate=False)
        cut = Prompt(prompt.token_ids[:max_length], prompt.roles[:max_length], prompt.kinds[:max_length])
        yield Document(index, chat.id, cut)


def padded(group: list[Document], *, batch_tokens: int) -> Iterator[tuple[list[Document], Tensor]]:
    """The documents of `group` in batches of like length: with their token ids `[batch, pos]`.

    Rows are padded on the right, where causal attention does not look. A batch has at most
    `batch_tokens` tokens, padding included, or one row.
    """
    by_length = sorted(group, key=lambda document: len(document.prompt))
    while by_length:
        rows = max(1, batch_tokens // len(by_length[-1].prompt))
        batch, by_length = by_length[-rows:], by_length[:-rows]
        input_ids = torch.zeros(len(batch), len(batch[-1].prompt), dtype=torch.long)
        for row, document in enumerate(batch):
            input_ids[row, : len(document.prompt)] = torch.tensor(document.prompt.token_ids)
        yield batch, input_ids


def residuals(
    host: HostModel, group: list[Document], *, batch_tokens: int
) -> Iterator[tuple[Document, Tensor]]:
    """Each document's residual stream `[pos, d_model]` at the layer."""
    for batch, input_ids in padded(group, batch_tokens=batch_tokens):
        resid = host.residual(input_ids.to(host.device))
        for row, document in enumerate(batch):
            yield document, resid[row, : len(document.prompt)]


def harvest(host: HostModel, tokenizer, chats: list[Chat], config: HarvestConfig, out: Path) -> Manifest:
    """Write about `config.tokens` tokens of the training split to `out`, or go on doing so.

    Raises:
        ValueError: `out` holds another harvest, or the disk or the source is too small.
    """
    manifest = _begin(host, tokenizer, config, out)
    _check_disk(out, (config.tokens - manifest.tokens) * host.d_model * 2)
    stream = documents(
        chats,
        "train",
        tokenizer,
        max_length=config.max_length,
        seed=config.seed,
        start=manifest.documents_done,
    )
    buffer: list[dict[str, Tensor]] = []
    with Progress() as progress:
        task = progress.add_task("Harvest", total=config.tokens, completed=manifest.tokens)
        while manifest.tokens < config.tokens:
            group = list(islice(stream, GROUP_DOCUMENTS))
            for document, resid in residuals(host, group, batch_tokens=config.batch_tokens):
                if not manifest.sink_norm:
                    norms = resid.float().norm(dim=-1)
                    manifest = msgspec.structs.replace(manifest, sink_norm=sink_norm_of(norms))
                buffer.append(_kept(document, resid, manifest.sink_norm))
                progress.advance(task, len(buffer[-1]["token"]))
            manifest = msgspec.structs.replace(manifest, documents_done=manifest.documents_done + len(group))
            buffered = sum(len(part["token"]) for part in buffer)
            room = min(config.buffer_tokens, config.tokens - manifest.tokens)
            if buffer and (buffered >= room or not group):
                manifest = _flush(buffer, manifest, config, out)
                buffer = []
            if not group:
                print(f"{config.source} holds only {manifest.tokens:,} tokens of training chats.")
                break
    return manifest


def _head(messages: list[dict[str, str]], characters: int) -> list[dict[str, str]]:
    """The first messages, up to the one in which `characters` are reached: the rest would be cut."""
    for count, message in enumerate(messages, start=1):
        characters -= len(message["content"])
        if characters <= 0:
            return messages[:count]
    return messages


def _begin(host: HostModel, tokenizer, config: HarvestConfig, out: Path) -> Manifest:
    fresh = Manifest(
        model=host.name,
        fingerprint=host.fingerprint(),
        chat_template_sha256=chat_template_sha256(tokenizer),
        layer=host.layer,
        d_model=host.d_model,
        source=config.source,
        seed=config.seed,
        max_length=config.max_length,
        target_tokens=config.tokens,
    )
    out.mkdir(parents=True, exist_ok=True)
    if not (out / MANIFEST).exists():
        return fresh
    found = Manifest.load(out)
    progress = {"target_tokens", "sink_norm", "documents_done", "shards"}
    for name in set(fresh.__struct_fields__) - progress:
        old, new = getattr(found, name), getattr(fresh, name)
        if old != new:
            raise ValueError(
                f"{out} holds a harvest with {name} {old!r}, not {new!r}. Choose another folder."
            )
    return msgspec.structs.replace(found, target_tokens=config.tokens)


def _check_disk(out: Path, needed: int) -> None:
    free = shutil.disk_usage(out).free
    print(f"Needs {needed / 1e9:.1f} GB in {out}; {free / 1e9:.1f} GB are free.")
    if needed > 0.95 * free:
        raise ValueError(f"{out} has {free / 1e9:.1f} GB free; the harvest needs {needed / 1e9:.1f} GB.")


def _kept(document: Document, resid: Tensor, sink_norm: float) -> dict[str, Tensor]:
    prompt = document.prompt
    keep = ~is_sink(resid, sink_norm).cpu()
    length = len(prompt)
    columns = {
        "resid": resid.to("cpu", torch.bfloat16),
        "token": torch.tensor(prompt.token_ids, dtype=torch.int32),
        "document": torch.full((length,), document.index, dtype=torch.int32),
        "position": torch.arange(length, dtype=torch.int32),
        "role": torch.tensor(prompt.roles, dtype=torch.uint8),
        "kind": torch.tensor(prompt.kinds, dtype=torch.uint8),
    }
    return {name: column[keep] for name, column in columns.items()}


def _flush(
    buffer: list[dict[str, Tensor]],
    manifest: Manifest,
    config: HarvestConfig,
    out: Path,
) -> Manifest:
    whole = {name: torch.cat([part[name] for part in buffer]) for name in buffer[0]}
    total = len(whole["token"])
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + len(manifest.shards))
    order = torch.randperm(total, generator=generator)
    written = []
    for start in range(0, total, config.shard_tokens):
        rows = order[start : start + config.shard_tokens]
        name = f"shard-{len(manifest.shards) + len(written):05d}.safetensors"
        written.append(write_shard(out, name, {key: column[rows] for key, column in whole.items()}))
    manifest = msgspec.structs.replace(manifest, shards=manifest.shards + tuple(written))
    manifest.save(out)
    return manifest
