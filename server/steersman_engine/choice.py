"""What is to be loaded: from names to a bundle, a device and files, checked before anything is loaded."""

from pathlib import Path

import torch
from huggingface_hub import snapshot_download

from steersman_engine.bundle import Bundle, BundleError, BundleManifest
from steersman_engine.model_files import ModelFiles
from steersman_engine.presets import PRESETS
from steersman_engine.pull import packaged_folder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def bundle_for(model: str, bundle: str | None) -> Bundle:
    """The bundle of that name or folder, or the one that ships for a model.

    Raises:
        ValueError: None was given, and none ships.
        BundleError: It is damaged.
        OSError: It is not there.
    """
    preset = PRESETS.get(model)
    chosen = bundle or (preset.bundle if preset else None)
    if chosen is None:
        needs = f" The model itself needs {preset.needs}." if preset else ""
        raise ValueError(
            f"No bundle ships for {model}: train one (`steersman harvest`, `train`, `evaluate`, `label`,"
            f" `bundle`) and pass its folder as --bundle.{needs}"
        )
    return Bundle.named(chosen)


def device_of(name: str) -> torch.device:
    """A device by its name; `auto` is CUDA where there is one.

    Raises:
        ValueError: There is none of that name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"{name!r} is no device: --device takes cpu, cuda, cuda:1, ...") from error
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise ValueError(f"There is no {name}: PyTorch sees {count} CUDA devices; --device cpu needs none.")
    return device


def dtype_of(name: str, device: torch.device) -> torch.dtype:
    """Of the weights; `auto` is float32 on a CPU and bfloat16 elsewhere."""
    return DTYPES["float32" if device.type == "cpu" else "bfloat16"] if name == "auto" else DTYPES[name]


def files_of(model: str, cache: Path) -> ModelFiles | None:
    """The files of a model, if they are here; None: they are fetched when it is loaded.

    Raises:
        ValueError: They are not whole.
    """
    preset = PRESETS.get(model)
    source = preset.source if preset else model
    if not isinstance(source, str):
        folder = packaged_folder(model, source, cache)
        return ModelFiles.of(folder) if folder.is_dir() else None
    if Path(source).is_dir():
        return ModelFiles.of(Path(source))
    if source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise ValueError(f"There is no folder {source}.")
    try:
        return ModelFiles.of(Path(snapshot_download(source, local_files_only=True)))
    except (OSError, ValueError):  # nothing, or not all of it
        return None


def check_shape(files: ModelFiles, manifest: BundleManifest) -> None:
    """Refuse a bundle that cannot be for a model of this shape; the self-test finds out the rest.

    Raises:
        BundleError: Width or layer are none of the model's.
    """
    width, layers = files.config.hidden_size, files.config.num_hidden_layers
    if (manifest.d_in, manifest.layer < layers) != (width, True):
        raise BundleError(
            f"The bundle {manifest.name} is for a model of width {manifest.d_in} with a layer"
            f" {manifest.layer}; {files.folder} is of width {width} and has layers 0 to {layers - 1}."
        )
