"""`/tokenize`, `/detokenize` and `/tokenizer_info`: what the model reads."""

import asyncio
from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from steersman.types import Detokenized, DetokenizeRequest, TokenizeRequest, TokenizerInfo, Tokens
from steersman_server.answers.detokenizer import decode
from steersman_server.errors import RequestError, error_responses
from steersman_server.plans.models import choose_model
from steersman_server.plans.prompts import conversation
from steersman_server.requests.body import json_body
from steersman_server.running import Running
from steersman_server.served import ServedModel


@post(
    ["/tokenize", "/v1/tokenize"],
    status_code=200,
    dto=json_body(TokenizeRequest),
    return_dto=None,
    tags=["tokens"],
    responses=error_responses(413, 415),
)
async def tokenize(data: JSONBody[TokenizeRequest], running: NamedDependency[Running]) -> Tokens:
    """The tokens of a text, its special tokens read as such, or of a conversation in its template."""
    return await asyncio.to_thread(_tokenize, data, running)


def _tokenize(data: TokenizeRequest, running: Running) -> Tokens:
    served = running.served
    choose_model(data.model, served, running.variants)
    given = [value for value in (data.prompt, data.content, data.messages) if value is not None]
    if len(given) != 1:
        message = f"Send one of `prompt`, `content` and `messages`; here are {len(given)}."
        raise RequestError(message, code="invalid_value")
    if isinstance(given[0], str):
        ids = list(served.tokenizer.encode(given[0], add_special_tokens=data.add_special_tokens))
    else:
        ids = list(conversation(given[0], served, running.config).token_ids)
    return Tokens(
        tokens=ids,
        count=len(ids),
        max_model_len=served.engine.info.max_positions,
        token_strs=[served.texts.text(token_id) for token_id in ids] if data.return_token_strs else None,
    )


@post(
    ["/detokenize", "/v1/detokenize"],
    status_code=200,
    dto=json_body(DetokenizeRequest),
    return_dto=None,
    tags=["tokens"],
    responses=error_responses(413, 415),
)
async def detokenize(data: JSONBody[DetokenizeRequest], running: NamedDependency[Running]) -> Detokenized:
    """The text of tokens, special ones included."""
    served = running.served
    await asyncio.to_thread(choose_model, data.model, served, running.variants)
    for index, token_id in enumerate(data.tokens):
        if not 0 <= token_id < len(served.tokenizer):
            param, last = f"tokens[{index}]", len(served.tokenizer) - 1
            message = f"Invalid '{param}': {token_id} is no token; the ids are 0 to {last}."
            raise RequestError(message, param=param, code="invalid_value")
    text = decode(served.tokenizer, list(data.tokens))
    return Detokenized(prompt=text, content=text)


@get(["/tokenizer_info", "/v1/tokenizer_info"], tags=["tokens"], responses=error_responses())
async def tokenizer_info(running: NamedDependency[Running]) -> TokenizerInfo:
    """What a client needs to know of the tokenizer."""
    return _info(running.served)


def _info(served: ServedModel) -> TokenizerInfo:
    tokenizer: Any = served.tokenizer
    template = tokenizer.chat_template
    return TokenizerInfo(
        tokenizer_class=type(tokenizer).__name__,
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token,
        chat_template=None if template is None else str(template),
        vocab_size=len(tokenizer),
        max_model_len=served.engine.info.max_positions,
    )
