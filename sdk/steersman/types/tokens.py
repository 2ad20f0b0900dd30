"""Text to tokens and back."""

from msgspec import Struct

from steersman.types.messages import Conversation


class TokenizeRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /tokenize`: one of a text, as `prompt` or `content`, and a conversation, as `messages`."""

    prompt: str | None = None
    content: str | None = None
    messages: Conversation | None = None
    model: str | None = None
    add_special_tokens: bool = False
    """Begin a text with what the model's texts begin with."""
    return_token_strs: bool = False


class Tokens(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Token ids, how many, and how many the model reads at most."""

    tokens: list[int]
    count: int
    max_model_len: int
    token_strs: list[str] | None = None


class DetokenizeRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /detokenize`."""

    tokens: tuple[int, ...]
    model: str | None = None


class Detokenized(Struct, frozen=True, kw_only=True):
    """The text of some tokens, under both names that servers give it."""

    prompt: str
    content: str


class TokenizerInfo(Struct, frozen=True, kw_only=True):
    """`GET /tokenizer_info`."""

    tokenizer_class: str
    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    chat_template: str | None
    vocab_size: int
    max_model_len: int
