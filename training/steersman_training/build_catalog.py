"""Make a catalogue: one pass over the labelling documents, then counting."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

import steersman
from steersman_catalog.rows import QUANTILES, FeatureRow, Row, TokenRow
from steersman_catalog.writer import write_catalog
from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_training.chats import Chat
from steersman_training.example_draw import ExampleDraw, passages_of
from steersman_training.firings import Firings, collect
from steersman_training.harvest import documents
from steersman_training.labelling.words import words_of
from steersman_training.statistical_labels import Describer

BINS = 20
"""Of a feature's histogram."""


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
    chats: Sequence[Chat],
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
    write_catalog(out, {k: str(v) for k, v in meta.items()}, rows_of(firings, tokenizer, config.seed))


def rows_of(firings: Firings, tokenizer, seed: int) -> Iterator[Row]:
    """What a catalogue says about features that fired so."""
    describer = Describer(firings, words_of(tokenizer, firings.token, firings.starts))
    examples = ExampleDraw(firings, seed)
    yield from passages_of(firings)
    for token in np.unique(firings.token).tolist():
        yield TokenRow(token=token, text=_text(tokenizer, token))
    for feature in track(range(firings.d_sae), "Labelling features", console=Console(stderr=True)):
        where, value = firings.of(feature)
        described = describer.describe(feature)
        yield FeatureRow(
            feature=feature,
            h_max=float(value.max(initial=0)),
            density=len(where) / firings.num_tokens,
            mean_activation=float(value.mean()) if len(where) else 0.0,
            num_documents=len(np.unique(firings.document_of(where))),
            quantiles=np.quantile(value, QUANTILES).tolist() if len(where) else None,
            histogram=np.histogram(value, BINS, (0, value.max()))[0].tolist() if len(where) else None,
            flags=described.flags,
        )
        yield described.label
        yield from described.words
        yield from examples.draw(feature)


def _text(tokenizer, token: int) -> str:
    """A token's text after another one: some tokenizers drop the blank that begins a text."""
    alone, twice = tokenizer.decode([token]), tokenizer.decode([token, token])
    return twice.removeprefix(alone) if twice.startswith(alone) else alone
