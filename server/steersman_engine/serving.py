"""From two names to a model that is ready to answer."""

import asyncio
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from steersman_catalog import Catalog
from steersman_engine.bundle import Bundle, BundleError
from steersman_engine.choice import bundle_for, check_shape, device_of, dtype_of, files_of
from steersman_engine.fast_forward import forward_for
from steersman_engine.host import HostModel, load_model
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.needs import Needs
from steersman_engine.prompt import chat_template_sha256
from steersman_engine.pull import pull
from steersman_engine.self_test import check_engine, check_fit, text_ids
from steersman_engine.text_embedder import find_embedder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model, its SAE and its catalogue; the self-test has passed."""

    name: str
    """The model's id on the wire."""
    tokenizer: PreTrainedTokenizerBase
    engine: LocalEngine
    catalog: Catalog
    bundle: str
    """Name and hash."""
    folder: Path
    """Where the bundle is."""
    sae_sha256: str
    layer: int
    d_sae: int


def load(
    model: str,
    bundle: str | None,
    *,
    device: str,
    dtype: str,
    cache: Path,
    config: EngineConfig | None = None,
) -> Loaded:
    """Load `model` (a preset, a Hugging Face id or a folder) with `bundle` (a shipped name or a folder).

    `device` `auto` is CUDA where there is one; `dtype` `auto` is bfloat16 there and float32 on a CPU.

    Raises:
        ValueError: The model has no bundle of its own and none was given, is not whole, or does not fit into
            memory.
        BundleError: The bundle is damaged, or is for another model or layer.
        EngineError: The engine failed its self-test.
        OSError: The model could not be fetched or read.
    """
    opened = bundle_for(model, bundle)
    manifest, target = opened.manifest, device_of(device)
    precision, config = dtype_of(dtype, target), config or EngineConfig()
    found = pull(model, cache)
    if (files := files_of(model, cache)) is not None:
        check_shape(files, manifest)
        if doubt := Needs.of(files, manifest, device=target, dtype=precision, config=config).check():
            log.warning("Memory: %s.", doubt)
    weights, tokenizer = load_model(found, dtype=precision, device=str(target))
    host = HostModel(weights, manifest.layer, name=model)
    sae = opened.sae(str(target))
    check_fit(host, tokenizer, sae, manifest, chat_template_sha256(tokenizer))
    catalog = catalog_of(opened)
    catalog.embedder = find_embedder(cache)
    engine = LocalEngine(host, sae, sink_norm=manifest.sink_norm, config=config, forward=forward_for(host))
    try:
        check_engine(engine, host, text_ids(tokenizer).to(host.device), manifest.sink_norm)
    except BaseException:
        asyncio.run(engine.aclose())
        raise
    return Loaded(
        name=Path(model).name if Path(model).is_dir() else model,
        tokenizer=tokenizer,
        engine=engine,
        catalog=catalog,
        bundle=opened.id,
        folder=opened.folder,
        sae_sha256=manifest.sae_sha256,
        layer=manifest.layer,
        d_sae=sae.d_sae,
    )


def with_new_catalog(loaded: Loaded) -> Loaded:
    """The same with the catalogue that the bundle's folder holds now; whoever reads the old one goes on.

    Raises:
        BundleError: The folder holds another SAE, or is damaged.
        OSError: It cannot be read.
    """
    opened = Bundle(loaded.folder)
    if opened.manifest.sae_sha256 != loaded.sae_sha256:
        raise BundleError(f"{loaded.folder} holds another SAE now: start the server anew to serve it.")
    catalog = catalog_of(opened)
    catalog.embedder = loaded.catalog.embedder
    return replace(loaded, catalog=catalog, bundle=opened.id)


def catalog_of(bundle: Bundle) -> Catalog:
    """Its catalogue, open for reading.

    Raises:
        BundleError: It is of another number of features than the SAE.
    """
    catalog, d_sae = bundle.catalog(), bundle.manifest.d_sae
    if len(catalog) != d_sae:
        raise BundleError(f"{catalog.path} has {len(catalog)} features, the SAE {d_sae}.")
    catalog.warm()
    return catalog
