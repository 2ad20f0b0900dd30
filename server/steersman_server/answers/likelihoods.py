"""Log probabilities in the two forms that OpenAI gives them."""

import math
from collections.abc import Sequence

from steersman.types import ChoiceLogprobs, CompletionLogprobs, TokenAlternative, TokenLikelihood
from steersman_engine.engine import TokenLogprobs
from steersman_server.answers.token_texts import TokenTexts

IMPOSSIBLE = -9999.0
"""JSON has no minus infinity."""


def finite(logprob: float) -> float:
    """A number that JSON has."""
    return logprob if math.isfinite(logprob) else IMPOSSIBLE


def chat_logprobs(tokens: Sequence[TokenLogprobs], texts: TokenTexts) -> ChoiceLogprobs:
    """As in a chat: a list of tokens, each with its alternatives and its bytes."""
    content = [
        TokenLikelihood(
            token=texts.text(token.token_id),
            logprob=finite(token.logprob),
            bytes=list(texts.bytes(token.token_id)),
            top_logprobs=[
                TokenAlternative(
                    token=texts.text(other.token_id),
                    logprob=finite(other.logprob),
                    bytes=list(texts.bytes(other.token_id)),
                )
                for other in token.top
            ],
        )
        for token in tokens
    ]
    return ChoiceLogprobs(content=content, refusal=None)


def completion_logprobs(
    tokens: Sequence[TokenLogprobs | int], texts: TokenTexts, offset: int
) -> CompletionLogprobs:
    """As in a completion: lists side by side. A bare token id is one that nothing came before.

    `offset`: where the first token's text begins, in characters.
    """
    made = CompletionLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
    for token in tokens:
        token_id = token if isinstance(token, int) else token.token_id
        text = texts.text(token_id)
        made.tokens.append(text)
        made.text_offset.append(offset)
        offset += len(text)
        if isinstance(token, int):
            made.token_logprobs.append(None)
            made.top_logprobs.append(None)
        else:
            made.token_logprobs.append(finite(token.logprob))
            made.top_logprobs.append(
                {texts.text(other.token_id): finite(other.logprob) for other in token.top}
            )
    return made
