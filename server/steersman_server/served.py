"""The model that a server answers for."""

import hashlib
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

import steersman
from steersman_catalog import Catalog
from steersman_engine.engine import Engine

END_TOKENS = ("<|eot_id|>", "<|im_end|>")


@dataclass(frozen=True, slots=True)
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

    @property
    def fingerprint(self) -> str:
        """OpenAI's `system_fingerprint`: changes when the same request may be answered differently."""
        made_of = f"{self.name}\n{self.bundle}\n{steersman.__version__}"
        return "fp_" + hashlib.sha256(made_of.encode()).hexdigest()[:12]

    @property
    def stop_token_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""
        ends = [self.tokenizer.convert_tokens_to_ids(token) for token in END_TOKENS]
        known = [end for end in ends if end != self.tokenizer.unk_token_id]
        return frozenset(end for end in [*known, self.tokenizer.eos_token_id] if isinstance(end, int))
