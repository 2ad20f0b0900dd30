"""SAEs of other libraries: read into canonical form, and written from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from steersman_engine.sae import SAE
from steersman_training.formats.canonical import Foreign, FormatError, load_tensors
from steersman_training.formats.dictionary_learning import (
    is_dictionary_learning,
    read_dictionary_learning,
    write_dictionary_learning,
)
from steersman_training.formats.goodfire import is_goodfire, read_goodfire, write_goodfire
from steersman_training.formats.sae_lens import is_sae_lens, read_sae_lens, write_sae_lens
from steersman_training.formats.sparsify import is_sparsify, read_sparsify, write_sparsify
from steersman_training.run_files import FACTS, SAE_FILE, TrainFacts

__all__ = ["FORMATS", "Foreign", "Format", "FormatError", "format_of", "read", "write"]

HUB = "hub:"
INNER = ("ae.pt", "cfg.json", "sae_weights.safetensors")
"""Files whose folder is meant."""


@dataclass(frozen=True, slots=True)
class Format:
    """How one library keeps an SAE."""

    matches: Callable[[Path], bool]
    read: Callable[[Path], Foreign]
    write: Callable[[SAE, Path, Mapping[str, Any]], None]
    about: str


def _is_canonical(path: Path) -> bool:
    file = path / SAE_FILE if path.is_dir() else path
    if not file.is_file() or file.suffix != ".safetensors":
        return False
    return {"W_enc", "threshold"} <= load_tensors(file).keys()


def _read_canonical(path: Path) -> Foreign:
    file = path / SAE_FILE if path.is_dir() else path
    sae = SAE.load(file)
    facts: dict[str, Any] = {}
    if (file.parent / FACTS).is_file():
        harvest = TrainFacts.load(file.parent).harvest
        facts = {"model": harvest.model, "layer": harvest.layer, "source": harvest.source}
    elif (file.parent / "bundle.json").is_file():
        bundle = msgspec.json.decode((file.parent / "bundle.json").read_bytes())
        facts = {"model": bundle["model"], "layer": bundle["layer"]}
    tensors = {name: getattr(sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")}
    return Foreign(**tensors, architecture="jumprelu", facts=facts)


def _write_canonical(sae: SAE, path: Path, facts: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sae.save(path)


FORMATS = {
    "steersman": Format(
        _is_canonical, _read_canonical, _write_canonical, "sae.safetensors, or a run's or bundle's folder"
    ),
    "sae_lens": Format(is_sae_lens, read_sae_lens, write_sae_lens, "cfg.json and sae_weights.safetensors"),
    "sparsify": Format(is_sparsify, read_sparsify, write_sparsify, "cfg.json and sae.safetensors"),
    "dictionary_learning": Format(
        is_dictionary_learning, read_dictionary_learning, write_dictionary_learning, "ae.pt and config.json"
    ),
    "goodfire": Format(is_goodfire, read_goodfire, write_goodfire, "a .pth or .pt file"),
}


def format_of(path: Path) -> str:
    """Which format a file or folder is of.

    Raises:
        FormatError: None of those known.
        FileNotFoundError: It is not there.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. For one of the hub write hub:OWNER/NAME[/FOLDER].")
    for name, each in FORMATS.items():
        if each.matches(path):
            return name
    known = "; ".join(f"{name}: {each.about}" for name, each in FORMATS.items())
    raise FormatError(f"{path} is of no format known here. {known}.")


def read(where: str | Path) -> tuple[str, Foreign]:
    """The name of the format of a path or of `hub:OWNER/NAME[/FOLDER OR FILE]`, and what it holds.

    Raises:
        FormatError: It is of no known format, or broken.
        OSError: It is not there, or the hub cannot be reached.
    """
    path = (
        _fetched(where.removeprefix(HUB)) if isinstance(where, str) and where.startswith(HUB) else Path(where)
    )
    path = path.parent if path.name in INNER else path
    name = format_of(path)
    return name, FORMATS[name].read(path)


def write(sae: SAE, path: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Write `sae` in a format.

    Raises:
        FormatError: The format cannot hold it, or `path` is taken.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FormatError(f"{path} exists. Remove it, or choose another place.")
    FORMATS[name].write(sae, path, facts)


def _fetched(name: str) -> Path:
    from huggingface_hub import snapshot_download

    owner, _, rest = name.partition("/")
    repository, _, inner = rest.partition("/")
    if not repository:
        raise FormatError(f"hub:{name} names no repository: write hub:OWNER/NAME[/FOLDER].")
    patterns = [inner, f"{inner}/*"] if inner else None
    return Path(snapshot_download(f"{owner}/{repository}", allow_patterns=patterns)) / inner
