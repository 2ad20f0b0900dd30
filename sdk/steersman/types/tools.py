"""Functions that the model may call, and its calls."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

ToolName = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]


class FunctionDefinition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A function as the model is told of it."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """A JSON Schema of an object, which every call's arguments fulfil; left out: there are none."""
    strict: bool | None = None
    """Refuse a schema that cannot be held to whole; otherwise what is unknown in it is passed over."""


class FunctionTool(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool of the one kind there is."""

    function: FunctionDefinition
    type: Literal["function"] = "function"


class FunctionName(Struct, frozen=True, forbid_unknown_fields=True):
    """A function by its name."""

    name: str


class NamedTool(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="function"):
    """A tool by its name; as a choice, the one that is called."""

    function: FunctionName


class AllowedToolSet(Struct, frozen=True, forbid_unknown_fields=True):
    """Some of the tools, and whether one must be called."""

    mode: Literal["auto", "required"]
    tools: Annotated[tuple[NamedTool, ...], Meta(min_length=1)]


class AllowedTools(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="allowed_tools"):
    """Only some of the tools may be called."""

    allowed_tools: AllowedToolSet


ToolChoice = Literal["none", "auto", "required"] | NamedTool | AllowedTools


class FunctionCall(Struct, frozen=True, forbid_unknown_fields=True):
    """Which function is called, and with what."""

    name: str
    arguments: str
    """JSON of an object, as the model wrote it."""


class ToolCall(Struct, frozen=True, forbid_unknown_fields=True):
    """One call of a tool."""

    id: str
    """What a message of the role `tool` answers to."""
    function: FunctionCall
    type: Literal["function"] = "function"


class FunctionCallDelta(Struct, frozen=True, omit_defaults=True):
    """What a chunk adds to a call: first the name, then pieces of the arguments."""

    arguments: str
    name: str | None = None


class ToolCallDelta(Struct, frozen=True, omit_defaults=True):
    """A chunk's part of one call; `id` and `type` come with the first."""

    index: int
    function: FunctionCallDelta
    id: str | None = None
    type: Literal["function"] | None = None


def whole_calls(deltas: Iterable[ToolCallDelta]) -> list[ToolCall]:
    """The calls of one answer, from what its chunks said of them, in their order."""
    ids: list[str] = []
    names: list[str] = []
    arguments: list[list[str]] = []
    for delta in deltas:
        if delta.id is not None:
            ids.append(delta.id)
            names.append(delta.function.name or "")
            arguments.append([])
        arguments[delta.index].append(delta.function.arguments)
    return [
        ToolCall(id_, FunctionCall(name, "".join(pieces)))
        for id_, name, pieces in zip(ids, names, arguments, strict=True)
    ]
