"""What the files of a model say of it before any of its weights is loaded."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
REMEDY = "get the model anew"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A folder that holds a whole model."""

    folder: Path
    num_weights: int
    config: Any
    """Of transformers."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Look at a folder.

        Raises:
            ValueError: A file is missing, damaged or cut short; the message names it.
        """
        for names in ((CONFIG,), TOKENIZERS):
            if not any((folder / name).is_file() for name in names):
                raise ValueError(f"{folder} is no whole model: it has no {' or '.join(names)}; {REMEDY}.")
        num_weights = sum(_num_weights(path) for path in _weights_in(folder))
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{folder / CONFIG} is of no model that is known here: {error}") from error
        return cls(folder, num_weights, config)


def _weights_in(folder: Path) -> list[Path]:
    if not (folder / INDEX).is_file():
        if not (folder / WEIGHTS).is_file():
            raise ValueError(f"{folder} has no {WEIGHTS}; weights of other formats are not read.")
        return [folder / WEIGHTS]
    try:
        named = msgspec.json.decode((folder / INDEX).read_bytes(), type=_Index).weight_map.values()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder / INDEX} cannot be read: {error}; {REMEDY}.") from error
    paths = [folder / name for name in sorted(set(named))]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise ValueError(f"{folder} is no whole model: it has no {', '.join(missing)}; {REMEDY}.")
    return paths


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def _num_weights(path: Path) -> int:
    try:
        with safe_open(path, framework="pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or was not wholly fetched ({error}); {REMEDY}.") from error
