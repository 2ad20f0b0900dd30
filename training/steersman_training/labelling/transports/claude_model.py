"""How a Claude model is asked, and how its message is read.

What a model can do is asked of the API, not known here: whether it takes a schema for its answer, which
ways there are to keep it from thinking, which efforts, and whether it may be asked in batches.
"""

import json
from typing import Any, Literal

import anthropic
from anthropic.types import Message
from msgspec import Struct

from steersman_training.labelling.ask import Answer, Ask, Usage
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import BackendError
from steersman_training.labelling.transports.claude_errors import as_ours

THINKING_ROOM = 6_000
"""Tokens added to an answer's limit for a model that cannot be kept from thinking: thinking counts."""
TOOL = "answer"
TTL = Literal["5m", "1h"]


class ClaudeModel(Struct, frozen=True, kw_only=True):
    """A model and what it can do."""

    id: str
    schema: bool = True
    """Takes a JSON schema for its answer; else it is made to call a tool."""
    thinking: str | None = None
    """Type of the setting that turns thinking off; None where there is none."""
    thinks: bool = False
    """It thinks, whatever one says."""
    effort: str | None = None
    batch: bool = True
    max_tokens: int | None = None

    def max_tokens_for(self, ask: Ask) -> int:
        """Tokens that the answer may be long, thinking included."""
        wanted = ask.max_tokens + (THINKING_ROOM if self.thinks else 0)
        return min(wanted, self.max_tokens or wanted)

    def params(self, ask: Ask, ttl: TTL) -> dict[str, Any]:
        """Of `messages.create`; the system prompt is kept in the prompt cache for `ttl`."""
        assert ask.model == self.id, f"The question is for {ask.model}, the transport for {self.id}."
        cached = {"type": "ephemeral", "ttl": ttl}
        params: dict[str, Any] = {
            "model": self.id,
            "max_tokens": self.max_tokens_for(ask),
            "system": [{"type": "text", "text": ask.system, "cache_control": cached}],
            "messages": [{"role": turn.role, "content": turn.content} for turn in ask.messages],
        }
        config: dict[str, Any] = {} if self.effort is None else {"effort": self.effort}
        if self.schema:
            config["format"] = {"type": "json_schema", "schema": anthropic.transform_schema(ask.schema)}
        else:
            tool = {"name": TOOL, "description": "Give your answer.", "input_schema": ask.schema}
            params["tools"] = [tool]
            # a model that thinks may not be forced; asked for one tool, it calls it
            params["tool_choice"] = {"type": "auto"} if self.thinks else {"type": "tool", "name": TOOL}
        if config:
            params["output_config"] = config
        if self.thinking is not None:
            params["thinking"] = {"type": self.thinking}
        return params


def probe(client: anthropic.Anthropic, model: str, effort: str = "low") -> ClaudeModel:
    """What `model` can do, by the API's own account; `effort` is used where the model has such a setting.

    Raises:
        ValueError: There is no such model, it was retired, or it has no such effort.
        BackendError: The service cannot be used now.
    """
    try:
        info = client.models.retrieve(model)
    except anthropic.NotFoundError as error:
        raise ValueError(f'There is no model "{model}" for this key; {_names(client)}.') from error
    except anthropic.APIError as error:
        raise BackendError(str(as_ours(error))) from error
    if info.lifecycle == "retired":
        raise ValueError(f'The model "{model}" was retired; {_names(client)}.')
    can = info.capabilities
    if can is None:
        return ClaudeModel(id=model, max_tokens=info.max_tokens)
    off = can.thinking.types
    ways = [way for way in ("disabled", "between_tools") if getattr(off, way).supported]
    efforts = [level for level in ("low", "medium", "high", "xhigh", "max") if _supports(can.effort, level)]
    if can.effort.supported and effort not in efforts:
        raise ValueError(f'The model "{model}" has no effort "{effort}", but {", ".join(efforts)}.')
    return ClaudeModel(
        id=model,
        schema=can.structured_outputs.supported,
        thinking=ways[0] if can.thinking.supported and ways else None,
        thinks=can.thinking.supported and not ways,
        effort=effort if can.effort.supported else None,
        batch=can.batch.supported,
        max_tokens=info.max_tokens,
    )


def read_message(ask: str, message: Message) -> Answer:
    """A message as an answer; refusals and cut answers are failures that were billed."""
    told, stop = message.usage, message.stop_reason or ""
    text, failure = _text(message), None
    if stop == "refusal":
        details = message.stop_details
        failure = Failure("refused", (details.category if details else None) or "no category")
    elif stop in ("max_tokens", "model_context_window_exceeded"):
        failure = Failure("truncated", stop)
    elif not text:
        failure = Failure("invalid", f"no text, stopped by {stop}")
    return Answer(
        ask=ask,
        text=None if failure else text,
        failure=failure,
        model=str(message.model),
        usage=Usage(
            input_tokens=told.input_tokens,
            output_tokens=told.output_tokens,
            cache_write_tokens=told.cache_creation_input_tokens or 0,
            cache_read_tokens=told.cache_read_input_tokens or 0,
        ),
        stop_reason=stop,
        request_id=message.id,
    )


def _text(message: Message) -> str:
    """What was said, by the blocks' types: thinking may come first."""
    for block in message.content:
        if block.type == "tool_use" and block.name == TOOL:
            return json.dumps(block.input)
    return "".join(block.text for block in message.content if block.type == "text")


def _supports(capability: Any, level: str) -> bool:
    found = getattr(capability, level, None)
    return found is not None and found.supported


def _names(client: anthropic.Anthropic) -> str:
    try:
        return "there are " + ", ".join(info.id for info in client.models.list(limit=20).data)
    except anthropic.APIError:
        return "the list of models cannot be had either"
