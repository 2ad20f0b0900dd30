"""Evaluation of an SAE, in the form that is served, on held-out chats, beside one that nobody trained."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import msgspec
import torch
from rich import print

from steersman_engine.bundle import MANIFEST as BUNDLE
from steersman_engine.bundle import sha256_of
from steersman_engine.host import HostModel
from steersman_engine.prompt import chat_template_sha256
from steersman_engine.sae import SAE
from steersman_engine.sinks import sink_norm_of
from steersman_training.chats import Chat, Split, read_chats
from steersman_training.documents import Document, documents
from steersman_training.evaluation_set import Batch, EvaluationConfig, batches, up_to
from steersman_training.manifest import write_atomically
from steersman_training.measures import next_token, next_tokens, reconstruction, usage, usages
from steersman_training.metrics import Metrics, Untrained, table
from steersman_training.untrained import untrained_like

__all__ = ["EvaluationConfig", "evaluate", "evaluate_file", "next_token", "reconstruction", "usage"]

FACTS = "train.json"
SAE_FILE = "sae.safetensors"


class Origin(msgspec.Struct, frozen=True):
    """Where an SAE was trained to read."""

    model: str
    fingerprint: str
    chat_template_sha256: str
    layer: int
    sink_norm: float


@torch.no_grad()
def evaluate(
    host: HostModel,
    tokenizer,
    chats: Sequence[Chat],
    sae: SAE,
    config: EvaluationConfig,
    *,
    sae_sha256: str,
    sink_norm: float | None = None,
) -> Metrics:
    """Measure `sae` on `host`. `sink_norm`: by default measured on the first document.

    Raises:
        ValueError: The SAE does not fit the model, or the source has no chats in the split.
    """
    if sae.d_in != host.d_model:
        raise ValueError(f"The SAE reads {sae.d_in} dimensions; {host.name} has {host.d_model}.")

    def read(split: Split) -> Iterator[Document]:
        return documents(chats, split, tokenizer, max_length=config.max_length, seed=config.seed)

    chosen = list(up_to(config.tokens, read(config.split)))
    if not chosen:
        raise ValueError(f"{config.source} has no chats in the {config.split} split.")
    if sink_norm is None:
        first = torch.tensor([chosen[0].prompt.token_ids], device=host.device)
        sink_norm = sink_norm_of(host.residual(first).float().norm(dim=-1))

    def run(read: list[Document]) -> Iterator[Batch]:
        return batches(host, read, sink_norm, batch_tokens=config.batch_tokens)

    splits: tuple[Split, ...] = ("evaluation", "labelling")
    many = up_to(config.usage_tokens, chain.from_iterable(map(read, splits)))
    held = list(run(chosen))
    rebuilt = reconstruction(sae, held)
    x = torch.cat([batch.resid[batch.kept].float() for batch in held])
    random = untrained_like(sae, x, l0=rebuilt["all"].l0)
    lost, random_lost = next_tokens(host, held, [sae, random])
    used, random_used = usages([sae, random], run(list(many)), splits)
    return Metrics(
        model=host.name,
        fingerprint=host.fingerprint(),
        chat_template_sha256=chat_template_sha256(tokenizer),
        layer=host.layer,
        dtype=str(host.model.dtype).removeprefix("torch."),
        sae_sha256=sae_sha256,
        d_sae=sae.d_sae,
        sink_norm=sink_norm,
        source=config.source,
        split=config.split,
        seed=config.seed,
        max_length=config.max_length,
        num_documents=len(chosen),
        reconstruction=rebuilt,
        next_token=lost,
        usage=used[0],
        geometry=used[1],
        untrained=Untrained(
            reconstruction=reconstruction(random, held),
            next_token=random_lost,
            usage=random_used[0],
            geometry=random_used[1],
        ),
    )


def evaluate_file(
    host: HostModel, tokenizer, path: Path, config: EvaluationConfig, out: Path, *, cache: Path
) -> Metrics:
    """Measure the SAE in a file or in the folder of a run or a bundle; write JSON to `out` and print it.

    Raises:
        ValueError: What stands beside the SAE says that it is for another model, chat template or layer.
    """
    path = path / SAE_FILE if path.is_dir() else path
    origin = origin_of(path.parent)
    if origin is not None:
        expected = (origin.fingerprint, origin.chat_template_sha256, origin.layer)
        if expected != (host.fingerprint(), chat_template_sha256(tokenizer), host.layer):
            raise ValueError(
                f"{path} was trained on layer {origin.layer} of {origin.model}, and this is"
                f" layer {host.layer} of {host.name}, with other weights or another chat template."
            )
    metrics = evaluate(
        host,
        tokenizer,
        read_chats(config.source, cache),
        SAE.load(path, host.device),
        config,
        sae_sha256=sha256_of(path),
        sink_norm=origin and origin.sink_norm,
    )
    write_atomically(out, msgspec.json.format(msgspec.json.encode(metrics), indent=1))
    print(table(metrics))
    return metrics


def origin_of(folder: Path) -> Origin | None:
    """What a training run, or a bundle, says of its SAE; None where there is neither."""
    if (folder / FACTS).is_file():
        return msgspec.convert(msgspec.json.decode((folder / FACTS).read_bytes())["harvest"], Origin)
    if (folder / BUNDLE).is_file():
        facts = msgspec.json.decode((folder / BUNDLE).read_bytes())
        return msgspec.convert({**facts, "fingerprint": facts["model_fingerprint"]}, Origin)
    return None
