"""Make a catalogue: one pass over the labelling documents, then counting."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

import steersman
from steersman_catalog.writer import Contents, StoredExample, write_catalog
from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_training.chats import Chat
from steersman_training.example_draw import ExampleDraw
from steersman_training.firings import Firings, collect
from steersman_training.harvest import documents
from steersman_training.labelling.words import words_of
from steersman_training.statistical_labels import Describer


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogConfig:
    """What to read; every field shapes what is written."""

    source: str
    tokens: int = 1_000_000
    """Stop after about so many."""
    max_length: int = 512
    """Tokens after which a conversation is cut."""
    seed: int = 0
    """Fixes the order of the documents, and which examples are drawn."""
    batch_tokens: int = 4096
    """Tokens, padding included, in one forward pass."""


def build_catalog(
    host: HostModel,
    tokenizer,
    sae: SAE,
    chats: list[Chat],
    config: CatalogConfig,
    out: Path,
    *,
    sink_norm: float,
) -> None:
    """Measure and label every feature of `sae`, which is on the host's device, and write `out`.

    Raises:
        ValueError: The SAE is for another model, or there is no chat to label from.
    """
    if sae.d_in != host.d_model:
        raise ValueError(
            f"The SAE reads residuals of width {sae.d_in}, and {host.name} has {host.d_model}:"
            " it was trained on another model."
        )
    stream = documents(chats, "labelling", tokenizer, max_length=config.max_length, seed=config.seed)
    firings = collect(
        host, sae, stream, tokens=config.tokens, sink_norm=sink_norm, batch_tokens=config.batch_tokens
    )
    if len(firings.token) < config.tokens:
        print(f"{config.source} holds only {len(firings.token):,} tokens of labelling chats.")
    meta = {
        "version": steersman.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": host.name,
        "model_fingerprint": host.fingerprint(),
        "layer": host.layer,
        "d_sae": sae.d_sae,
        "source": config.source,
        "max_length": config.max_length,
        "seed": config.seed,
        "sink_norm": sink_norm,
        "documents": len(firings.documents),
        "tokens": firings.num_tokens,
    }
    write_catalog(out, contents_of(firings, tokenizer, {k: str(v) for k, v in meta.items()}, config.seed))


def contents_of(firings: Firings, tokenizer, meta: dict[str, str], seed: int) -> Contents:
    """What a catalogue says about features that fired so."""
    describer = Describer(firings, words_of(tokenizer, firings.token, firings.starts))
    examples = ExampleDraw(firings, seed)
    h_max, mean = np.zeros(firings.d_sae, np.float32), np.zeros(firings.d_sae, np.float32)
    num_documents = np.zeros(firings.d_sae, np.int32)
    labels, words, drawn = [], [], []
    for feature in track(range(firings.d_sae), "Labelling features", console=Console(stderr=True)):
        where, value = firings.of(feature)
        if len(where):
            h_max[feature], mean[feature] = value.max(), value.mean()
            num_documents[feature] = len(np.unique(firings.document_of(where)))
        described = describer.describe(feature)
        labels.append(described.label)
        words += described.words
        drawn += examples.draw(feature)
    return Contents(
        meta=meta,
        h_max=h_max,
        density=np.diff(firings.feature_starts) / firings.num_tokens,
        mean_activation=mean,
        num_documents=num_documents,
        labels=labels,
        words=words,
        vocabulary=_vocabulary(tokenizer, drawn),
        examples=drawn,
    )


def _vocabulary(tokenizer, examples: list[StoredExample]) -> dict[int, str]:
    tokens = {token for example in examples for token in example.tokens.tolist()}
    return {token: _text(tokenizer, token) for token in tokens}


def _text(tokenizer, token: int) -> str:
    """A token's text after another one: some tokenizers drop the blank that begins a text."""
    alone, twice = tokenizer.decode([token]), tokenizer.decode([token, token])
    return twice.removeprefix(alone) if twice.startswith(alone) else alone
