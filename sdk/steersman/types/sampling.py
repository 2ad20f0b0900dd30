"""How an answer's tokens are chosen, and where it ends: what every request that makes one may say."""

from typing import Annotated

from msgspec import Meta, Struct

Stop = (
    Annotated[str, Meta(min_length=1)]
    | Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(max_length=4)]
)


class SamplingFields(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """OpenAI's fields, then the extras that other servers have made common."""

    temperature: Annotated[float, Meta(ge=0, le=2)] = 1.0
    """0 takes the likeliest token."""
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: Stop | None = None
    """Up to four texts that end the answer and are left out of it."""
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    """The same seed and request give the same text."""
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] = 0.0
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] = {}
    """Added to the logits of tokens, by id."""
    top_k: Annotated[int, Meta(ge=-1)] | None = None
    """Choose among so many of the likeliest tokens; 0 and -1: among all."""
    min_p: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Choose among tokens at least so likely, relative to the likeliest."""
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] = 1.0
    min_tokens: Annotated[int, Meta(ge=0)] = 0
    """The model may not end its answer before so many tokens; stop strings still may."""
    ignore_eos: bool = False
    """The model cannot end its answer: it has `max_tokens` tokens unless a stop string comes."""
    stop_token_ids: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=16)] = ()
    """More tokens that end the answer."""
