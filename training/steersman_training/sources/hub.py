"""Data sets of the Hugging Face hub, or folders with their files, through `datasets`."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steersman_training.manifest import write_atomically
from steersman_training.sources.lines import Lines, Record
from steersman_training.sources.spec import SourceSpec


def hub_records(spec: SourceSpec, cache: Path) -> Sequence[Record]:
    """The records of a data set, mapped from disk rather than held in memory.

    With `first`, a data set of the hub is streamed that far once and kept as JSONL, so that a set of any
    size can be read from, and what was read stays the same.

    Raises:
        ValueError: `datasets` is missing, or it cannot load the set.
    """
    where = spec.place.removeprefix("hub:")
    try:
        import datasets
    except ImportError as error:
        raise ValueError(f"{spec.place} needs the package datasets: pip install datasets") from error
    if Path(where, "dataset_info.json").is_file() or Path(where, "dataset_dict.json").is_file():
        return _chosen(_split_of(datasets.load_from_disk(where), spec), spec)
    if spec.first is not None and not Path(where).is_dir():
        return _streamed(datasets, where, spec, cache)
    return _chosen(_loaded(datasets, where, spec), spec)


def _loaded(datasets: Any, where: str, spec: SourceSpec, *, streaming: bool = False) -> Any:
    try:
        return datasets.load_dataset(where, spec.config, split=spec.split, streaming=streaming)
    except Exception as error:  # whatever the hub, its files and their formats raise
        raise ValueError(f"datasets cannot load {where}, split {spec.split}: {error}") from error


def _split_of(found: Any, spec: SourceSpec) -> Any:
    if not isinstance(found, dict):
        return found
    if spec.split not in found:
        raise ValueError(f"{spec.place} has no split {spec.split!r}: it has {', '.join(found)}.")
    return found[spec.split]


def _chosen(found: Any, spec: SourceSpec) -> Any:
    return found if spec.first is None else found.select(range(min(spec.first, len(found))))


def _streamed(datasets: Any, where: str, spec: SourceSpec, cache: Path) -> Lines:
    key = hashlib.sha256(json.dumps([where, spec.config, spec.split, spec.first]).encode()).hexdigest()[:16]
    path = cache / "streamed" / f"{where.replace('/', '--')}-{key}.jsonl"
    if not path.is_file():
        stream = _loaded(datasets, where, spec, streaming=True).take(spec.first)
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(record, default=str).encode() + b"\n" for record in stream)
        write_atomically(path, lines)
    return Lines(path)
