"""Which tokens may come next: answers of a given form, and answers that may not end yet."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from steersman.types import JsonObjectFormat, JsonSchemaFormat, ResponseFormat
from steersman_engine.engine import LogitMask
from steersman_server.errors import RequestError

WHITESPACE = r"[ \n]{0,8}"
"""Between the parts of a JSON text; without a bound a small model may write nothing else."""

MakeMask = Callable[[], LogitMask]


class GrammarMask:
    """Tokens that keep an answer on the way to a text of some grammar (`llguidance` knows which)."""

    def __init__(self, matcher: LLMatcher, vocabulary: int, ends: frozenset[int]) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._ends = sorted(ends)
        self._num_seen = 0

    def allowed(self, answer: Sequence[int]) -> Tensor:
        """Bool `[vocab]`."""
        for token_id in answer[self._num_seen :]:
            if not self._matcher.consume_token(token_id):
                raise RuntimeError(f"The grammar lost its way: {self._matcher.get_error()}")
        self._num_seen = len(answer)
        packed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
        mask = bits.flatten()[: self._vocabulary].bool()
        mask[self._ends] = self._matcher.is_accepting()
        return mask


class OpenEndMask:
    """Anything but an end, until the answer has so many tokens; then what `then` says."""

    def __init__(
        self, min_tokens: int, ends: frozenset[int], vocabulary: int, then: LogitMask | None
    ) -> None:
        self._min_tokens = min_tokens
        self._ends = sorted(ends)
        self._vocabulary = vocabulary
        self._then = then

    def allowed(self, answer: Sequence[int]) -> Tensor | None:
        """Bool `[vocab]`, or None for anything."""
        mask = None if self._then is None else self._then.allowed(answer)
        if len(answer) >= self._min_tokens:
            return mask
        mask = torch.ones(self._vocabulary, dtype=torch.bool) if mask is None else mask
        without = mask.clone()
        without[self._ends] = False
        return without if without.any() else mask


def json_masks(
    asked: ResponseFormat | None, tokenizer: PreTrainedTokenizerBase, ends: frozenset[int]
) -> MakeMask | None:
    """What makes a mask for each answer, or None if any text will do. Compiling a schema takes a while.

    Raises:
        RequestError: The schema cannot be held to.
    """
    schema = schema_of(asked)
    if schema is None:
        return None
    try:
        return grammar_masks(json_grammar(schema), tokenizer, ends)
    except ValueError as error:
        message = f"This schema cannot be held to: {error}"
        param = "response_format.json_schema.schema"
        raise RequestError(message, param=param, code="invalid_value") from error


def schema_of(asked: ResponseFormat | None) -> dict[str, Any] | None:
    """The schema of an answer's text, or None if any text will do."""
    match asked:
        case JsonObjectFormat():
            return {"type": "object"}
        case JsonSchemaFormat(json_schema):
            return json_schema.schema_
        case _:
            return None


def json_rule(schema: Mapping[str, Any], *, lenient: bool = False) -> str:
    """A schema with our options; `lenient` passes over what the library does not know in it."""
    options = {"whitespace_pattern": WHITESPACE, "whitespace_flexible": True, "lenient": lenient}
    return json.dumps({**schema, "x-guidance": options})


def json_grammar(schema: Mapping[str, Any], *, lenient: bool = False) -> str:
    """A grammar of nothing but JSON of a schema."""
    return LLMatcher.grammar_from_json_schema(json_rule(schema, lenient=lenient))


def grammar_masks(grammar: str, tokenizer: PreTrainedTokenizerBase, ends: frozenset[int]) -> MakeMask:
    """What makes a mask for each answer that keeps it to a grammar.

    Raises:
        ValueError: It is none, or a schema in it cannot be held to.
    """
    matcher = LLMatcher(_known(tokenizer), grammar, log_level=0)
    if matcher.is_error():
        raise ValueError(matcher.get_error().splitlines()[0][:300])
    return lambda: GrammarMask(matcher.deep_copy(), len(tokenizer), ends)


def special_in_grammars(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Those of `texts` that are tokens which a grammar has to name: it cannot spell them."""
    known = _known(tokenizer)
    added = {token.content: token_id for token_id, token in tokenizer.added_tokens_decoder.items()}
    return {text: added[text] for text in texts if text in added and known.is_special_token(added[text])}


@lru_cache(maxsize=2)
def _known(tokenizer: PreTrainedTokenizerBase) -> LLTokenizer:
    return from_tokenizer(tokenizer, n_vocab=len(tokenizer))  # pyright: ignore[reportArgumentType]
