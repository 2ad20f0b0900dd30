"""Calls of tools in a conversation, and what the tools answered."""

from collections.abc import Sequence
from typing import Any

import msgspec

from steersman.types import Message, ToolCall
from steersman_server.errors import RequestError
from steersman_server.plans.calling import refusal
from steersman_server.served import ServedModel

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def check_tool_turns(messages: Sequence[Message], served: ServedModel, param: str, *, answered: bool) -> None:
    """Refuse calls and answers of tools that do not belong together.

    `answered`: the model answers these messages, so no call may wait at their end.

    Raises:
        RequestError: They do not, or the model knows no tools.
    """
    why = served.tool_syntax if isinstance(served.tool_syntax, str) else None
    waiting: dict[str, str] = {}  # calls without an answer, and where they are
    for index, message in enumerate(messages):
        where = f"{param}[{index}]"
        if message.role == "tool":
            if why is not None:
                raise refusal(why, f"{where}.role", "unsupported_value")
            _check_answer(message, where, waiting)
            continue
        if message.tool_call_id is not None:
            raise _wrong(f"{where}.tool_call_id", "it belongs to messages of the role 'tool' only.")
        _check_none_waits(waiting)
        if message.tool_calls and why is not None:
            raise refusal(why, f"{where}.tool_calls", "unsupported_parameter")
        waiting = _calls(message, where)
    if answered:
        _check_none_waits(waiting)


def fields_of_tools(message: Message) -> dict[str, Any]:
    """A message's part in calls of tools, as chat templates take it."""
    if message.role == "tool":
        return {"tool_call_id": message.tool_call_id}
    if not message.tool_calls:
        return {}
    return {"tool_calls": [_for_template(call) for call in message.tool_calls]}


def _for_template(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": _decode_object(call.function.arguments)}
    return {"id": call.id, "type": call.type, "function": function}


def _check_answer(message: Message, where: str, waiting: dict[str, str]) -> None:
    identifier = message.tool_call_id
    if identifier is None:
        param = f"{where}.tool_call_id"
        message_ = f"Missing required parameter: '{param}'."
        raise RequestError(message_, param=param, code="missing_required_parameter")
    if waiting.pop(identifier, None) is None:
        raise _wrong(
            f"{where}.tool_call_id",
            f"no call {identifier[:100]!r} in the assistant's message before this one waits for an answer.",
        )


def _calls(message: Message, where: str) -> dict[str, str]:
    """The calls of a message by their ids, and where they are."""
    calls: dict[str, str] = {}
    for index, call in enumerate(message.tool_calls or ()):
        at = f"{where}.tool_calls[{index}]"
        if message.role != "assistant":
            raise _wrong(f"{where}.tool_calls", "only the assistant calls tools.")
        if call.id in calls:
            raise _wrong(f"{at}.id", f"there is a call {call.id[:100]!r} already.")
        try:
            _decode_object(call.function.arguments)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _wrong(f"{at}.function.arguments", "it is not JSON of an object.") from error
        calls[call.id] = at
    return calls


def _check_none_waits(waiting: dict[str, str]) -> None:
    for identifier, where in waiting.items():
        raise _wrong(where, f"a message of the role 'tool' has to follow for the call {identifier[:100]!r}.")


def _wrong(param: str, why: str) -> RequestError:
    return RequestError(f"Invalid '{param}': {why}", param=param, code="invalid_value")
