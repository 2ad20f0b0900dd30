"""Calls about the server: its health, its models, its variants, its tokens."""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from steersman.calls.call import Call, body_of, post
from steersman.types import (
    JSON,
    Condition,
    Deleted,
    Detokenized,
    DetokenizeRequest,
    EditLike,
    Health,
    Messages,
    Model,
    ModelList,
    TokenizeRequest,
    TokenizerInfo,
    Tokens,
    Variant,
    VariantImport,
    VariantList,
    VariantRequest,
)


def health() -> Call[Health]:
    """What the server serves, once it is ready.

    Raises:
        NotReadyError: It is starting or stopping.
    """
    return Call("GET", "/health", Health)


def list_models() -> Call[ModelList]:
    """All models that the server answers for, and their variants."""
    return Call("GET", "/v1/models", ModelList)


def get_model(model: str | Variant) -> Call[Model]:
    """One model or variant."""
    name = model.id if isinstance(model, Variant) else model
    return Call("GET", f"/v1/models/{quote(name, safe=':')}", Model)


def list_variants() -> Call[VariantList]:
    """All variants by name; it is also what `import_` takes."""
    return Call("GET", "/v1/variants", VariantList)


def get_variant(name: str) -> Call[Variant]:
    """One variant.

    Raises:
        NotFoundError: There is none of that name.
    """
    return Call("GET", _variant(name), Variant)


def create_variant(
    name: str,
    feature_edits: Iterable[EditLike] = (),
    *,
    abort_when: Iterable[Condition | JSON] = (),
    description: str = "",
    controller: JSON | None = None,
) -> Call[Variant]:
    """Name a set of edits; it is used as `model: "base:name"` from then on.

    Raises:
        ConflictError: There is one of that name.
    """
    fields = _variant_fields(feature_edits, abort_when, description, controller)
    return post("/v1/variants", VariantRequest, {**fields, "name": name}, Variant)


def replace_variant(
    name: str,
    feature_edits: Iterable[EditLike] = (),
    *,
    abort_when: Iterable[Condition | JSON] = (),
    description: str = "",
    controller: JSON | None = None,
) -> Call[Variant]:
    """Give a variant other edits; its name stays.

    Raises:
        NotFoundError: There is none of that name.
    """
    fields = _variant_fields(feature_edits, abort_when, description, controller)
    return Call("PUT", _variant(name), Variant, body=body_of(VariantRequest, fields))


def delete_variant(name: str) -> Call[Deleted]:
    """Forget a variant.

    Raises:
        NotFoundError: There is none of that name.
    """
    return Call("DELETE", _variant(name), Deleted)


def import_variants(
    variants: Iterable[Variant] | VariantList, *, overwrite: bool = False
) -> Call[VariantList]:
    """Take variants of this or another server: all of them, or none."""
    data = variants.data if isinstance(variants, VariantList) else list(variants)
    fields = {"data": data, "overwrite": overwrite}
    return post("/v1/variants/import", VariantImport, fields, VariantList)


def tokenize(
    text: str | None = None,
    *,
    messages: Messages | None = None,
    model: str | Variant | None = None,
    add_special_tokens: bool = False,
) -> Call[Tokens]:
    """The tokens of a text, or of a conversation as the model reads it."""
    fields = {
        "model": model,
        "prompt": text,
        "messages": None if messages is None else list(messages),
        "add_special_tokens": add_special_tokens,
        "return_token_strs": True,
    }
    return post("/tokenize", TokenizeRequest, fields, Tokens)


def detokenize(tokens: Sequence[int], *, model: str | Variant | None = None) -> Call[Detokenized]:
    """The text of some tokens."""
    fields = {"tokens": tokens, "model": model}
    return post("/detokenize", DetokenizeRequest, fields, Detokenized)


def tokenizer_info() -> Call[TokenizerInfo]:
    """Vocabulary size, special tokens and chat template."""
    return Call("GET", "/tokenizer_info", TokenizerInfo)


def _variant(name: str) -> str:
    if not name:
        raise ValueError("A variant has a name.")
    return f"/v1/variants/{quote(name, safe='')}"


def _variant_fields(
    feature_edits: Iterable[EditLike],
    abort_when: Iterable[Condition | JSON],
    description: str,
    controller: JSON | None,
) -> JSON:
    return {
        "feature_edits": list(feature_edits) or None,
        "abort_when": list(abort_when) or None,
        "description": description,
        "controller": controller,
    }
