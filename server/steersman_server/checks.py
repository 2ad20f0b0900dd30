"""What can be known of a configuration before a model is loaded: `steersman serve --check`."""

import contextlib
import errno
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import msgspec
import torch
from safetensors import SafetensorError

from steersman_engine.bundle import Bundle
from steersman_engine.choice import bundle_for, check_shape, device_of, dtype_of, files_of
from steersman_engine.commands import default_cache
from steersman_engine.engine import EngineError
from steersman_engine.local_engine import EngineConfig
from steersman_engine.model_files import ModelFiles
from steersman_engine.needs import Needs
from steersman_engine.presets import PRESETS
from steersman_engine.pull import check_disk
from steersman_engine.serving import catalog_of
from steersman_server.books import open_tracer
from steersman_server.config import ServerConfig
from steersman_server.found import Found
from steersman_server.moderation.policy import NOTHING
from steersman_server.moderation.setup import policy_of
from steersman_server.moderation.signals import read_signals
from steersman_server.ports import bind, url_of
from steersman_server.variants import VariantStore

T = TypeVar("T")
PROBE_BYTES = 1 << 16
"""Written into a folder and removed again, to see that it can be."""


class Doubt(str):
    """Said of something that will do, and may not always."""


def engine_config(config: ServerConfig) -> EngineConfig:
    """What the engine may take."""
    return EngineConfig(
        num_slots=config.slots,
        kv_bytes=int(config.kv_gib * 2**30),
        max_waiting=config.max_queue,
        max_jobs=config.max_jobs,
        max_job_positions=config.max_job_tokens,
        job_timeout_s=config.request_timeout_s,
    )


class Checks:
    """Each method looks at one thing and says what it found.

    Raises:
        ValueError, OSError: It will not do.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._cache = config.cache_dir or default_cache()

    def all(self) -> Iterator[Found]:
        """What comes of every check, in order."""
        known = self.keys, self.port, self.bundle, self.model, self.memory
        return map(_found, (*known, self.variants, self.moderation, self.records))

    def keys(self) -> str:
        """Who may ask."""
        if keys := self.config.keys:
            return f"{len(keys)}: " + ", ".join(f"{key.name} ({key.role})" for key in keys)
        if self.config.auth:
            return f"none; nobody but this machine reaches {self.config.host}"
        return Doubt(f"none, by --no-auth: whoever reaches {self.config.host} may ask for anything")

    def port(self) -> str:
        """Where it would listen."""
        sockets = bind(self.config.host, self.config.port)
        with contextlib.ExitStack() as opened:
            for listening in sockets:
                opened.enter_context(listening)
            return f"{', '.join(map(url_of, sockets))} is free"

    def bundle(self) -> str:
        """The bundle's files."""
        bundle = self._bundle
        catalog_of(bundle).close()
        manifest = bundle.manifest
        return (
            f"{bundle.id} in {bundle.folder}: hashes as they should be, {manifest.d_sae} features after layer"
            f" {manifest.layer} of {manifest.model}"
        )

    def model(self) -> str:
        """The model's files, and the room for those that are to be fetched."""
        preset, files = PRESETS.get(self.config.model), self._files
        if files is not None:
            if bundle := _unless_broken(lambda: self._bundle):
                check_shape(files, bundle.manifest)
            return f"{files.folder}: whole, {files.num_weights / 1e6:.1f} million weights"
        if preset is None or isinstance(preset.source, str):
            return Doubt(
                f"{self.config.model} is fetched from the hub at the start, as far as it is not here"
            )
        check_disk(self._cache, preset.source.disk_bytes)
        return Doubt(f"{preset.name} is fetched at the start: {preset.needs}")

    def memory(self) -> str:
        """What the model takes of which device, and what that has."""
        device = device_of(self.config.device)
        dtype = dtype_of(self.config.dtype, device)
        name = f"{device}, {str(dtype).removeprefix('torch.')}"
        bundle, files = _unless_broken(lambda: self._bundle), _unless_broken(lambda: self._files)
        if bundle is None or files is None:
            return Doubt(f"{name}: known once bundle and model are here and whole")
        config = engine_config(self.config)
        needs = Needs.of(files, bundle.manifest, device=device, dtype=dtype, config=config)
        doubt = needs.check()
        return Doubt(f"{name}: {doubt}") if doubt else f"{name}: {needs.says(needs.free())}"

    def variants(self) -> str:
        """The file of variants, and that its folder can be written."""
        path = self.config.variants
        if path is None:
            return Doubt("in memory only")
        _probe(_existing(path), "--data-dir")
        if not path.exists():
            return f"{path}: none yet"
        with contextlib.closing(VariantStore.open(path)) as store:
            return f"{path}: {len(store.all())}"

    def moderation(self) -> str:
        """What judges, and the file of signals."""
        if policy_of(self.config) == NOTHING:
            return Doubt("off: nothing is hidden, refused, flagged or blocked")
        url, file = self.config.moderation_url, self.config.moderation_signals
        judge = f"by {url}, which is not asked now" if url else "by rules"
        if file is None:
            return judge
        bundle = _unless_broken(lambda: self._bundle)
        if bundle is None:
            return Doubt(f"{judge}; {file} is looked at once the bundle is whole")
        with contextlib.closing(catalog_of(bundle)) as catalog:
            return f"{judge}; {len(list(read_signals(file, bundle.id, catalog)))} signals in {file}"

    def records(self) -> str:
        """The file of the audit log, and what tracing needs."""
        traces = ""
        if self.config.tracing:
            open_tracer(self.config.model).close()
            traces = "; traces are sent where OpenTelemetry's variables say"
        path = self.config.audit_log
        if path is None:
            return f"no audit log{traces}"
        if path.is_file() or not path.exists():
            _probe(_existing(path), "--audit-log")
        if path.exists():
            with _writing(path, "--audit-log"), path.open("ab"):
                pass
        return f"audit log in {path}{traces}"

    @cached_property
    def _bundle(self) -> Bundle:
        return bundle_for(self.config.model, self.config.bundle)

    @cached_property
    def _files(self) -> ModelFiles | None:
        return files_of(self.config.model, self._cache)


def _found(look: Callable[[], str]) -> Found:
    try:
        text = look()
    except (ValueError, OSError, msgspec.MsgspecError) as error:
        return Found(look.__name__, "FAILED", str(error))
    return Found(look.__name__, "warning" if isinstance(text, Doubt) else "ok", text)


def _unless_broken(get: Callable[[], T]) -> T | None:
    """None for what another check complains of."""
    try:
        return get()
    except (ValueError, OSError):
        return None


def _existing(path: Path) -> Path:
    """The folder that a file will be in, or the one that this will be made in."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def _probe(folder: Path, flag: str) -> None:
    """See that a folder can be written, and its disk has room.

    Raises:
        OSError: It cannot, or has not.
    """
    with _writing(folder, flag), tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(PROBE_BYTES))
        file.flush()


@contextlib.contextmanager
def _writing(path: Path, flag: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror} ({flag}).") from error


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """What loading a model may end in, each with its remedy.

    Raises:
        ValueError: In place of errors that are neither this nor OSError.
    """
    try:
        yield
    except EngineError as error:
        raise ValueError(f"The self-test failed: {error}") from error
    except SafetensorError as error:
        raise ValueError(f"A file of weights is damaged or was not wholly fetched: {error}") from error
    except (MemoryError, RuntimeError, OSError) as error:
        if not _is_memory(error):
            raise
        raise ValueError(f"There is not enough memory: lower --kv-gib or --slots ({error}).") from error


def _is_memory(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)
