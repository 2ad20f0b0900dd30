"""How likely tokens were."""

from msgspec import Struct


class TokenAlternative(Struct, frozen=True, kw_only=True):
    """A token that might have come."""

    token: str
    logprob: float
    """-9999.0 stands for an impossible token."""
    bytes: list[int]
    """UTF-8; a character may need the bytes of several tokens."""


class TokenLikelihood(Struct, frozen=True, kw_only=True):
    """A token of the answer, and the likeliest ones in its place."""

    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TokenAlternative]


class ChoiceLogprobs(Struct, frozen=True, kw_only=True):
    """The tokens of an answer, or of a piece of it. Their bytes put together are its text."""

    content: list[TokenLikelihood]
    refusal: None
