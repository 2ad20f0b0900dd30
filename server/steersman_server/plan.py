"""A chat request checked against the model that is to answer it, before anything is computed."""

from dataclasses import dataclass
from typing import Self

from steersman.types import AttributionOptions, ChatRequest, Feature, FeatureEdit
from steersman_catalog import UnknownFeatureError
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import GenerateRequest, Sampling
from steersman_engine.prompt import Prompt, render
from steersman_server.config import ServerConfig
from steersman_server.errors import NotFoundError, RequestError
from steersman_server.served import ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be done for a request."""

    request: ChatRequest
    generate: GenerateRequest
    features: list[Feature]
    """Those of the request's edits, in that order."""
    explained: tuple[int, ...] = ()
    """Tokens of the answer to attribute, by index; the answer may end before some of them."""
    contrast: int | None = None

    @classmethod
    def of(cls, request: ChatRequest, served: ServedModel, config: ServerConfig) -> Self:
        """Resolve names, ranges and limits. It reads the catalogue, so it blocks.

        Raises:
            NotFoundError: The model or a feature is unknown.
            RequestError: The request does not fit the model, or a part of it could have no effect.
        """
        check_model(request.model, served)
        prompt = _prompt(request, served)
        max_tokens = _max_tokens(request, len(prompt), served.engine.info.max_positions)
        features = _features(request.feature_edits, served)
        options = request.attribution
        return cls(
            request=request,
            generate=GenerateRequest(
                prompt=prompt,
                max_tokens=max_tokens,
                sampling=Sampling(temperature=request.temperature, top_p=request.top_p, seed=request.seed),
                edits=tuple(
                    _edit(index, edit, feature, config.max_strength, prompt, max_tokens)
                    for index, (edit, feature) in enumerate(zip(request.feature_edits, features, strict=True))
                ),
                stop_token_ids=served.stop_token_ids,
            ),
            features=features,
            explained=_explained(options, max_tokens, config.max_attribution_tokens) if options else (),
            contrast=_contrast(options, served) if options else None,
        )

    @property
    def stops(self) -> tuple[str, ...]:
        """The strings that end the answer."""
        stop = self.request.stop
        return (stop,) if isinstance(stop, str) else stop or ()


def check_model(name: str, served: ServedModel) -> None:
    """Raise NotFoundError unless `name` is the model that is served."""
    if name != served.name:
        message = f"The model `{name[:100]}` does not exist; this server answers for `{served.name}`."
        raise NotFoundError(message, code="model_not_found")


def _prompt(request: ChatRequest, served: ServedModel) -> Prompt:
    messages = []
    for message in request.messages:
        role = "system" if message.role == "developer" else message.role
        named = {} if message.name is None else {"name": message.name}
        messages.append({"role": role, "content": message.text, **named})
    try:
        return render(served.tokenizer, messages, generate=True)
    except ValueError as error:
        raise RequestError(str(error), param="messages", code="invalid_value") from error


def _max_tokens(request: ChatRequest, num_prompt_tokens: int, max_positions: int) -> int:
    """Tokens that the answer may have: what was asked for, as far as the context has room."""
    room = max_positions - num_prompt_tokens
    if room < 1:
        message = (
            f"This model's maximum context length is {max_positions} tokens, an answer included. However,"
            f" your messages resulted in {num_prompt_tokens} tokens. Please shorten the messages."
        )
        raise RequestError(message, param="messages", code="context_length_exceeded")
    asked = request.max_completion_tokens or request.max_tokens
    return room if asked is None else min(asked, room)


def _features(edits: tuple[FeatureEdit, ...], served: ServedModel) -> list[Feature]:
    indices = [edit.feature for edit in edits]
    try:
        return served.catalog.features(indices)
    except UnknownFeatureError as error:
        param = f"feature_edits[{indices.index(error.index)}].feature"
        raise NotFoundError(str(error), param=param, code="feature_not_found") from error


def _edit(
    index: int, edit: FeatureEdit, feature: Feature, max_strength: float, prompt: Prompt, max_tokens: int
) -> AffineEdit:
    """The edit in residual units, if it may be made and can have an effect."""
    name = f"feature_edits[{index}]"
    _check_strength(name, edit, feature, max_strength)
    try:
        affine = AffineEdit.of(edit, feature.h_max)
    except ValueError as error:
        raise RequestError(str(error), param=name, code="invalid_value") from error
    if edit.phase == "generation" and max_tokens == 1:
        message = (
            "An edit of phase `generation` starts at the first token of the answer and acts on those after"
            " it; an answer of one token has none. Raise `max_tokens`, or use the phase `prompt`."
        )
        raise RequestError(message, param=f"{name}.phase", code="invalid_value")
    if edit.roles is not None and not any(affine.covers(prompt, 0, len(prompt))):
        wanted = ", ".join(edit.roles) or "none"
        message = f"No token of the prompt has the role asked for ({wanted}). Leave `roles` out for all."
        raise RequestError(message, param=f"{name}.roles", code="invalid_value")
    return affine


def _check_strength(name: str, edit: FeatureEdit, feature: Feature, max_strength: float) -> None:
    """Hold to ±`max_strength` times h_max; a scale, which cannot be negative, to 0 … `max_strength`.

    A raw strength of a feature that never fired has no h_max to be held to.
    """
    high, unit = max_strength, "times h_max"
    if edit.mode == "scale":
        unit = "times the activation"
    elif edit.unit == "raw":
        high, unit = max_strength * feature.h_max or float("inf"), "residual units"
    low = 0.0 if edit.mode == "scale" else -high
    if not low <= edit.strength <= high:
        side = "above_max" if edit.strength > high else "below_min"
        message = (
            f"Invalid '{name}.strength': {edit.strength:g} is out of range. For feature {edit.feature} a"
            f" {edit.mode} takes {low:g} to {high:g} {unit}."
        )
        raise RequestError(message, param=f"{name}.strength", code=f"decimal_{side}_value")


def _explained(options: AttributionOptions, max_tokens: int, limit: int) -> tuple[int, ...]:
    """The tokens to explain of an answer that has at most `max_tokens`."""
    param = "attribution.tokens"
    if options.tokens == "all":
        if max_tokens > limit:
            message = (
                f"The answer may have {max_tokens} tokens, and at most {limit} can be explained. Set"
                " `max_tokens` to no more than that, or list the tokens to explain."
            )
            raise RequestError(message, param=param, code="invalid_value")
        return tuple(range(max_tokens))
    if not options.tokens:
        message = f"Invalid '{param}': empty array. List tokens, or leave `attribution` out."
        raise RequestError(message, param=param, code="empty_array")
    if len(options.tokens) > limit:
        message = f"{len(options.tokens)} tokens are listed, and at most {limit} can be explained."
        raise RequestError(message, param=param, code="array_above_max_length")
    for position, token in enumerate(options.tokens):
        if token >= max_tokens:
            param = f"{param}[{position}]"
            message = f"Invalid '{param}': {token}. The answer has at most {max_tokens} tokens, from 0."
            raise RequestError(message, param=param, code="integer_above_max_value")
    return options.tokens


def _contrast(options: AttributionOptions, served: ServedModel) -> int | None:
    """The id of the token to contrast with, if any."""
    if options.target == "logit_minus_mean":
        return None
    text = options.target.token
    token_ids = served.tokenizer.encode(text, add_special_tokens=False)
    if len(token_ids) != 1:
        message = (
            f"{text[:100]!r} is {len(token_ids)} tokens of this model, and a contrast is one. A word in the"
            " middle of a text usually starts with its space."
        )
        raise RequestError(message, param="attribution.target.token", code="invalid_value")
    return token_ids[0]
