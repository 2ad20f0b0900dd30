"""OpenAI's request fields that are not in `ChatRequest`, with the values that change nothing here.

A client that sends such a value gets the answer it asked for; any other value is refused by name,
because an answer that silently lacks what was asked for is a wrong answer.
"""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

Efforts = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class OtherField:
    """What a field may hold."""

    type: Any
    """As msgspec takes it."""
    values: tuple[Any, ...] | None = None
    """Those that change nothing; None: all of the type do not."""
    code: Literal["unsupported_value", "unsupported_parameter"] = "unsupported_value"
    """Why another value is refused."""


ANY = OtherField(dict[str, msgspec.Raw])
TEXT = OtherField(str)
OTHER_FIELDS = {
    # who asks, what it costs, where it is kept
    "metadata": OtherField(dict[str, str]),
    "prediction": ANY,
    "prompt_cache_key": TEXT,
    "prompt_cache_options": ANY,
    "prompt_cache_retention": TEXT,
    "safety_identifier": TEXT,
    "service_tier": TEXT,
    "store": OtherField(bool),
    "user": TEXT,
    # for models that reason, or call tools
    "parallel_tool_calls": OtherField(bool),
    "reasoning_effort": OtherField(Efforts),
    "verbosity": OtherField(Literal["low", "medium", "high"]),
    "function_call": OtherField(Any, ("none", "auto")),
    "functions": OtherField(list[Any], ([],), "unsupported_parameter"),
    "tool_choice": OtherField(Any, ("none", "auto")),
    "tools": OtherField(list[Any], ([],), "unsupported_parameter"),
    # what this server does one way only
    "frequency_penalty": OtherField(float, (0.0,)),
    "logit_bias": OtherField(dict[str, float], ({},), "unsupported_parameter"),
    "logprobs": OtherField(bool, (False,), "unsupported_parameter"),
    "modalities": OtherField(list[str], (["text"],)),
    "n": OtherField(int, (1,)),
    "presence_penalty": OtherField(float, (0.0,)),
    "response_format": OtherField(dict[str, Any], ({"type": "text"},)),
    "top_logprobs": OtherField(int, (0,), "unsupported_parameter"),
    # what it does not do
    "audio": OtherField(Any, (), "unsupported_parameter"),
    "moderation": OtherField(Any, (), "unsupported_parameter"),
    "web_search_options": OtherField(Any, (), "unsupported_parameter"),
}
