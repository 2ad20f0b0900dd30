"""One question to a language model, and what came back.

A question's id is a hash of all that an answer could depend on, so the same question is the same row of
the ledger in every run: it is never paid for twice, and a question that differs in anything is another.
"""

import hashlib
import json
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from steersman_training.labelling.protocols import Failure

MAX_RETRY_TOKENS = 16_000
"""A truncated answer is not asked for again beyond this."""
QUOTED = 4_000
"""Characters of a malformed answer that its correction quotes."""

T = TypeVar("T")


class Turn(Struct, frozen=True):
    """A message."""

    role: Literal["user", "assistant"]
    content: str


class Ask(Struct, frozen=True, kw_only=True):
    """A question; make it with `make_ask`."""

    id: str
    """32 hexadecimal digits."""
    stage: str
    """Of the job: explain, contrastive, ..."""
    feature: int | None
    model: str
    prompt_version: str
    system: str
    """The same for all questions of a stage: what a prompt cache keeps."""
    messages: tuple[Turn, ...]
    schema: dict[str, Any]
    """JSON schema of the answer."""
    max_tokens: int
    """Of the answer, without thinking."""


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens as the service counted them; the three kinds of input do not overlap."""

    input_tokens: int
    output_tokens: int
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0


class Answer(Struct, frozen=True, kw_only=True):
    """What came back for one question: `text` or a `failure`, never both."""

    ask: str
    text: str | None = None
    """Meant to be JSON; nobody has looked yet."""
    failure: Failure | None = None
    model: str = ""
    """As the service names it."""
    usage: Usage | None = None
    """None where the service did not say: then it is not billed, or not known."""
    stop_reason: str = ""
    request_id: str = ""


def make_ask(
    *,
    stage: str,
    feature: int | None,
    model: str,
    prompt_version: str,
    system: str,
    messages: tuple[Turn, ...],
    schema: dict[str, Any],
    max_tokens: int,
) -> Ask:
    """A question with its id."""
    fields = (stage, feature, model, prompt_version, system, messages, schema, max_tokens)
    digest = hashlib.sha256(msgspec.json.encode(fields, order="deterministic"))
    return Ask(
        id=digest.hexdigest()[:32],
        stage=stage,
        feature=feature,
        model=model,
        prompt_version=prompt_version,
        system=system,
        messages=messages,
        schema=schema,
        max_tokens=max_tokens,
    )


def changed(ask: Ask, *, messages: tuple[Turn, ...] | None = None, max_tokens: int | None = None) -> Ask:
    """The same question put otherwise: another question, with an id of its own."""
    return make_ask(
        stage=ask.stage,
        feature=ask.feature,
        model=ask.model,
        prompt_version=ask.prompt_version,
        system=ask.system,
        messages=ask.messages if messages is None else messages,
        schema=ask.schema,
        max_tokens=ask.max_tokens if max_tokens is None else max_tokens,
    )


def follow_up(ask: Ask, answer: Answer, failure: Failure) -> Ask | None:
    """What to ask after an answer that failed, or None where asking again would not help.

    A cut answer gets four times the room; a malformed one is quoted with what was wrong. Refusals stand.
    """
    if failure.kind == "truncated" and ask.max_tokens * 4 <= MAX_RETRY_TOKENS:
        return changed(ask, max_tokens=ask.max_tokens * 4)
    if failure.kind == "invalid" and answer.text:
        complaint = f"That was not what was asked for: {failure.detail}. Answer again, with the JSON alone."
        turns = (Turn("assistant", answer.text[:QUOTED]), Turn("user", complaint))
        return changed(ask, messages=(*ask.messages, *turns))
    return None


def read_answer(answer: Answer, kind: type[T]) -> T | Failure:
    """The answer's data, or why there is none.

    JSON in a fence of backticks, or with words around it, is read: models without structured output add them.
    """
    if answer.failure is not None:
        return answer.failure
    text = answer.text or ""
    begin, end = text.find("{"), text.rfind("}")
    try:
        return msgspec.json.decode(text[begin : end + 1] if begin >= 0 else text, type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:  # ValidationError is a DecodeError
        return Failure("invalid", str(error))


def schema_of(kind: type) -> dict[str, Any]:
    """A struct's JSON schema without references or titles: what the most services understand."""
    schema = msgspec.json.schema(kind)
    return _plain(schema, schema.get("$defs", {}))


def _plain(node: Any, defs: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_plain(item, defs) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(defs[node["$ref"].rpartition("/")[2]], defs)
    return {key: _plain(value, defs) for key, value in node.items() if key not in ("$defs", "title")}


def size_in_bytes(ask: Ask) -> int:
    """Of all that is sent; a byte-level tokenizer makes at most one token of each byte."""
    said = sum(len(turn.content.encode()) for turn in ask.messages)
    return said + len(ask.system.encode()) + len(json.dumps(ask.schema))
