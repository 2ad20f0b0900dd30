"""The model that a server answers for."""

import asyncio
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

from transformers import PreTrainedTokenizerBase

import steersman
from steersman.types import Feature
from steersman_catalog import Catalog
from steersman_engine.engine import Engine
from steersman_engine.prompt import end_token_ids
from steersman_engine.serving import Loaded
from steersman_server.answers.token_texts import TokenTexts
from steersman_server.tool_syntax import ToolSyntax, syntax_of


@dataclass(frozen=True)
class ServedModel:
    """A model, its features, and what they are called on the wire."""

    name: str
    tokenizer: PreTrainedTokenizerBase
    engine: Engine
    catalog: Catalog
    bundle: str
    """Name and hash, such as `smollm2-135m@1a2b3c4d`."""
    layer: int
    d_sae: int
    created: int
    """Unix time, in seconds."""
    sees_hidden: bool = False
    """Whether what moderation hides is shown."""
    _named: dict[int, Feature] = field(default_factory=dict)

    @classmethod
    def of(cls, loaded: Loaded) -> Self:
        """What `load` gave, from now on."""
        return cls(
            name=loaded.name,
            tokenizer=loaded.tokenizer,
            engine=loaded.engine,
            catalog=loaded.catalog,
            bundle=loaded.bundle,
            layer=loaded.layer,
            d_sae=loaded.d_sae,
            created=int(time.time()),
        )

    def with_catalog(self, catalog: Catalog, bundle: str) -> Self:
        """The same model, whose features are described by another catalogue."""
        return replace(self, catalog=catalog, bundle=bundle, _named={})

    def unmoderated(self) -> Self:
        """The same for those who see what moderation hides."""
        return replace(self, sees_hidden=True, _named={})

    @cached_property
    def fingerprint(self) -> str:
        """OpenAI's `system_fingerprint`: changes when the same request may be answered differently."""
        made_of = f"{self.name}\n{self.bundle}\n{steersman.__version__}"
        return "fp_" + hashlib.sha256(made_of.encode()).hexdigest()[:12]

    @cached_property
    def stop_token_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return frozenset(end_token_ids(self.tokenizer))

    @cached_property
    def tool_syntax(self) -> ToolSyntax | str:
        """How the model writes calls of tools, or why it has none."""
        return syntax_of(self.tokenizer)

    @cached_property
    def texts(self) -> TokenTexts:
        """What each token says."""
        return TokenTexts(self.tokenizer)

    async def named(self, indices: Iterable[int]) -> dict[int, Feature]:
        """Labels and h_max of features, by index; each is read from the catalogue once."""
        asked = set(indices)
        missing = sorted(asked - self._named.keys())
        if missing:
            found = await asyncio.to_thread(self.catalog.features, missing, hidden=self.sees_hidden)
            self._named.update((feature.index, feature) for feature in found)
        return {index: self._named[index] for index in asked}
