"""A bundle: one folder with an SAE, its catalogue, and all that says which model they are for.

- `bundle.json`: what this module defines
- `sae.safetensors`: the SAE in canonical form
- `catalog.duckdb`: the features, with h_max, labels and examples
- `README.md`: a card for people
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
from msgspec import Meta, Struct

from steersman_catalog import Catalog
from steersman_engine.sae import SAE

MANIFEST, SAE_FILE, CATALOG_FILE, CARD = "bundle.json", "sae.safetensors", "catalog.duckdb", "README.md"
SHIPPED = Path(__file__).parent / "bundles"
FORMAT = 1
MAX_MANIFEST_BYTES = 16 * 2**20


class BundleError(ValueError):
    """A bundle is damaged, or is for another model or layer."""


class BundleManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `bundle.json` says."""

    format: int
    name: str
    model: str
    """Preset name or Hugging Face id."""
    model_fingerprint: str
    """`HostModel.fingerprint` of the weights the SAE was trained on."""
    chat_template_sha256: str
    layer: Annotated[int, Meta(ge=0)]
    """0-based decoder block whose output the SAE reads."""
    site: str
    """`resid_post`: the residual stream after the block."""
    d_in: int
    d_sae: int
    sae_sha256: str
    catalog_sha256: str
    sink_norm: Annotated[float, Meta(gt=0)]
    """Positions with a longer residual are attention sinks."""
    training: dict[str, Any]
    metrics: dict[str, Any]
    licence: str
    created: str


class Bundle:
    """A bundle on disk, its files checked against their hashes.

    Raises:
        FileNotFoundError: The folder is no bundle.
        BundleError: A file is missing or altered, or the format is unknown.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / MANIFEST
        if not path.is_file():
            raise FileNotFoundError(f"{folder} is no bundle: it has no {MANIFEST}.")
        if (size := path.stat().st_size) > MAX_MANIFEST_BYTES:
            raise BundleError(f"{path} has {size} bytes; at most {MAX_MANIFEST_BYTES} are read.")
        try:
            self.manifest = msgspec.json.decode(path.read_bytes(), type=BundleManifest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BundleError(f"{path} cannot be read: {error}.") from error
        if self.manifest.format != FORMAT:
            raise BundleError(f"{path} has format {self.manifest.format}; this version reads {FORMAT}.")
        self.folder = folder
        _check(folder / SAE_FILE, self.manifest.sae_sha256)
        _check(folder / CATALOG_FILE, self.manifest.catalog_sha256)

    @classmethod
    def named(cls, name: str) -> Self:
        """A bundle that ships with steersman, or the folder of that name.

        Raises:
            FileNotFoundError: There is neither.
        """
        for folder in (SHIPPED / name, Path(name)):
            if (folder / MANIFEST).is_file():
                return cls(folder)
        shipped = ", ".join(sorted(path.name for path in SHIPPED.glob("*/"))) or "none"
        raise FileNotFoundError(f"No bundle {name!r}: not a folder with a {MANIFEST}; shipped are {shipped}.")

    @property
    def id(self) -> str:
        """Name and hash, as receipts give it."""
        content = f"{self.manifest.sae_sha256}{self.manifest.catalog_sha256}"
        return f"{self.manifest.name}@{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def sae(self, device: str = "cpu") -> SAE:
        """The SAE, in float32.

        Raises:
            ValueError: It is none, or has another size than the manifest says.
        """
        sae, manifest = SAE.load(self.folder / SAE_FILE, device), self.manifest
        if (sae.d_in, sae.d_sae) != (manifest.d_in, manifest.d_sae):
            raise BundleError(
                f"{self.folder / SAE_FILE} is of size {sae.d_in} x {sae.d_sae}, and {MANIFEST} says"
                f" {manifest.d_in} x {manifest.d_sae}."
            )
        return sae

    def catalog(self) -> Catalog:
        """The catalogue, open for reading."""
        return Catalog.open(self.folder / CATALOG_FILE)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise BundleError(f"{path} is missing.")
    if (found := sha256_of(path)) != sha256:
        raise BundleError(f"{path} has SHA-256 {found}, not {sha256}: it was altered. Get the bundle anew.")
