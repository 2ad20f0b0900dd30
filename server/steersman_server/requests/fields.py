"""Request fields that are known and not in our types, with the values that change nothing here.

A client that sends such a value gets the answer it asked for; any other value is refused by name,
because an answer that silently lacks what was asked for is a wrong answer. `docs/api.md` lists them.
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
    why: str = ""
    """The same in words."""


ANY = OtherField(dict[str, msgspec.Raw])
TEXT = OtherField(str)
REFUSED = OtherField(Any, (), "unsupported_parameter")
NO_FUNCTIONS = (
    "`tools` and `tool_choice` have taken its place, for models that know tools. For an answer of a given"
    " form use response_format."
)

OPENAI = {
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
    # for models that reason
    "reasoning_effort": OtherField(Efforts),
    "verbosity": OtherField(Literal["low", "medium", "high"]),
    # what it does not do
    "function_call": OtherField(Any, ("none", "auto"), why=NO_FUNCTIONS),
    "functions": OtherField(list[Any], ([],), "unsupported_parameter", NO_FUNCTIONS),
    "audio": REFUSED,
    "modalities": OtherField(list[str], (["text"],)),
    "moderation": REFUSED,
    "web_search_options": REFUSED,
}
ECOSYSTEM = {
    "add_generation_prompt": OtherField(bool, (True,)),
    "add_special_tokens": OtherField(bool, (False,)),
    "best_of": OtherField(int, (1,)),
    "cache_prompt": OtherField(bool),
    "cache_salt": TEXT,
    "chat_template_kwargs": OtherField(dict[str, Any], ({},)),
    "continue_final_message": OtherField(bool, (False,)),
    "include_stop_str_in_output": OtherField(bool, (False,)),
    "length_penalty": OtherField(float, (1.0,)),
    "priority": OtherField(int, (0,)),
    "request_id": TEXT,
    "return_token_ids": OtherField(bool, (False,)),
    "skip_special_tokens": OtherField(bool, (True,)),
    "spaces_between_special_tokens": OtherField(bool),
    "typical_p": OtherField(float, (1.0,)),
    "use_beam_search": OtherField(bool, (False,)),
}
CHAT_FIELDS = OPENAI | ECOSYSTEM | {"echo": OtherField(bool, (False,))}
COMPLETION_FIELDS = (
    {name: OPENAI[name] for name in ("user", "metadata", "store", "service_tier", "prompt_cache_key")}
    | ECOSYSTEM
    | {"suffix": REFUSED, "add_special_tokens": OtherField(bool, (True,))}
)
