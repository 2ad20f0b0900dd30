"""What will be done for a request that makes answers."""

import secrets
import time
from dataclasses import dataclass, replace

from steersman.types import SamplingFields
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import GenerateRequest, LogitMask, Sampling
from steersman_engine.prompt import Prompt
from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError
from steersman_server.plans.calling import Calling
from steersman_server.plans.masks import MakeMask, OpenEndMask
from steersman_server.plans.steering import Steering, check_effect
from steersman_server.served import ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One prompt, and the answers to it."""

    prompt: Prompt
    requests: tuple[GenerateRequest, ...]
    """One for each answer."""
    stops: tuple[str, ...]
    """Texts that end an answer."""
    steering: Steering
    seed: int
    """The one given, or the one drawn."""
    calling: Calling | None = None
    """The tools that may be called."""

    @property
    def max_tokens(self) -> int:
        """Of each answer."""
        return self.requests[0].max_tokens


def plan(
    fields: SamplingFields,
    prompt: Prompt,
    steering: Steering,
    served: ServedModel,
    config: ServerConfig,
    *,
    max_tokens: int | None,
    n: int = 1,
    seed: int | None = None,
    logprobs: int | None = None,
    watch: int | None = None,
    make_mask: MakeMask | None = None,
    calling: Calling | None = None,
    probes: tuple[AffineEdit, ...] = (),
) -> Plan:
    """Check limits, and say it in the engine's words.

    `max_tokens`: those asked for; None: all that there is room for. `seed`: in place of the request's.
    `probes`: made after the edits, and only counted.

    Raises:
        RequestError: The request does not fit the model, or a part of it could have no effect.
    """
    room = served.engine.info.max_positions - len(prompt)
    max_tokens = _most_tokens(fields, max_tokens, room, config)
    check_effect(steering, prompt, max_tokens)
    ends = frozenset[int]() if fields.ignore_eos else served.stop_token_ids
    ends |= _own_ends(fields, served)
    seed = fields.seed if seed is None else seed
    seed = secrets.randbits(32) if seed is None else seed
    request = GenerateRequest(
        prompt=prompt,
        max_tokens=max_tokens,
        sampling=_sampling(fields, seed, served),
        edits=(*steering.affine, *probes),
        abort_when=steering.abort_when,
        stop_token_ids=ends,
        logprobs=logprobs,
        watch=watch,
        deadline=time.monotonic() + config.request_timeout_s,
    )

    def mask() -> LogitMask | None:
        inner = make_mask() if make_mask else None
        if not fields.min_tokens:
            return inner
        return OpenEndMask(fields.min_tokens, ends, served.engine.info.vocab_size, inner)

    if fields.min_tokens > max_tokens:
        message = f"`min_tokens` is {fields.min_tokens}, and the answer has at most {max_tokens} tokens."
        raise RequestError(message, param="min_tokens", code="invalid_value")
    return Plan(
        prompt=prompt,
        requests=tuple(replace(request.choice(index), mask=mask()) for index in range(n)),
        stops=(fields.stop,) if isinstance(fields.stop, str) else fields.stop or (),
        steering=steering,
        seed=seed,
        calling=calling,
    )


def _most_tokens(fields: SamplingFields, asked: int | None, room: int, config: ServerConfig) -> int:
    """How long an answer may become: what was asked for, as far as there is room."""
    limit = config.max_output_tokens
    if limit is not None and asked is not None and asked > limit:
        param = "max_tokens" if asked == fields.max_tokens else "max_completion_tokens"
        message = f"Invalid '{param}': {asked} is above what this server gives, {limit} tokens an answer."
        raise RequestError(message, param=param, code="integer_above_max_value")
    return min(number for number in (asked, room, limit) if number is not None)


def _sampling(fields: SamplingFields, seed: int, served: ServedModel) -> Sampling:
    return Sampling(
        temperature=fields.temperature,
        top_p=fields.top_p,
        top_k=fields.top_k if fields.top_k and fields.top_k > 0 else None,
        min_p=fields.min_p,
        presence_penalty=fields.presence_penalty,
        frequency_penalty=fields.frequency_penalty,
        repetition_penalty=fields.repetition_penalty,
        logit_bias={_token_id(key, served): value for key, value in fields.logit_bias.items()},
        seed=seed,
    )


def _token_id(key: str, served: ServedModel) -> int:
    if not (key.isascii() and key.isdecimal() and len(key) < 10 and int(key) < len(served.tokenizer)):
        message = (
            f"Invalid key in 'logit_bias': '{key[:100]}' is no token id; they are 0 to"
            f" {len(served.tokenizer) - 1}, and /tokenize gives those of a text."
        )
        raise RequestError(message, param="logit_bias", code="invalid_value")
    return int(key)


def _own_ends(fields: SamplingFields, served: ServedModel) -> frozenset[int]:
    for position, token_id in enumerate(fields.stop_token_ids):
        if token_id >= len(served.tokenizer):
            param = f"stop_token_ids[{position}]"
            message = (
                f"Invalid '{param}': {token_id} is no token; the ids end at {len(served.tokenizer) - 1}."
            )
            raise RequestError(message, param=param, code="integer_above_max_value")
    return frozenset(fields.stop_token_ids)
