"""Token counts."""

from msgspec import Struct


class Usage(Struct, frozen=True):
    """What was computed: the prompt once, the answers' tokens together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
