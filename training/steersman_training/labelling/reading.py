"""The first two steps: choose documents, and see what fires on them."""

from pathlib import Path

from steersman_training.chats import Chat
from steersman_training.harvest import documents
from steersman_training.labelling.collect import collect_part, num_parts
from steersman_training.labelling.config import LabelConfig
from steersman_training.labelling.corpus import SPLIT_PERCENT, TILE_TOKENS, Corpus
from steersman_training.labelling.stage import Stage
from steersman_training.labelling.subject import Subject


def document_stage(root: Path, subject: Subject, config: LabelConfig) -> Stage:
    """Where the rendered documents are kept; one part."""
    inputs = {
        "version": 1,
        "source": _source_identity(config.source),
        "tokens": config.tokens,
        "max_length": config.max_length,
        "seed": config.seed,
        "template": subject.identity["template"],
        "model": subject.identity["model"],
        "splits": SPLIT_PERCENT,
        "tile": TILE_TOKENS,
    }
    return Stage(root, "documents", 1, inputs)


def read_documents(subject: Subject, chats: list[Chat], config: LabelConfig) -> bytes:
    """The documents' one part."""
    stream = documents(chats, "labelling", subject.tokenizer, max_length=config.max_length, seed=config.seed)
    return Corpus.of(stream, tokens=config.tokens).packed()


def collect_stage(
    root: Path, subject: Subject, corpus_key: str, corpus: Corpus, config: LabelConfig
) -> Stage:
    """Where the activations are kept."""
    inputs = {
        "version": 1,
        "documents": corpus_key,
        "batch_tokens": config.batch_tokens,
        **subject.identity,
    }
    return Stage(root, "collect", num_parts(corpus), inputs)


def collect(subject: Subject, corpus: Corpus, config: LabelConfig, number: int) -> bytes:
    """One part of the activations."""
    return collect_part(
        subject.host,
        subject.sae,
        corpus,
        number,
        sink_norm=subject.sink_norm,
        batch_tokens=config.batch_tokens,
    )


def _source_identity(source: str) -> str:
    """A file is told from another of its name by size and time of change."""
    path = Path(source)
    if not path.is_file():
        return source
    facts = path.stat()
    return f"{path.name}:{facts.st_size}:{facts.st_mtime_ns}"
