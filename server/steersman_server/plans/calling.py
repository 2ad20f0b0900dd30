"""Which tools an answer may call, and how it is held to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llguidance import LLMatcher

from steersman.types import AllowedTools, ChatRequest, FunctionTool, NamedTool
from steersman_server.answers.tool_calls import ToolCallReader
from steersman_server.errors import RequestError
from steersman_server.plans.call_grammar import CallGrammar, parameters_of
from steersman_server.plans.masks import (
    MakeMask,
    grammar_masks,
    json_grammar,
    schema_of,
    special_in_grammars,
)
from steersman_server.served import ServedModel
from steersman_server.tool_syntax import ToolSyntax

INSTEAD = "For an answer of a given form use response_format."


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """Tools that the model is told of, and may call."""

    tools: list[dict[str, Any]]
    """As chat templates take them."""
    syntax: ToolSyntax
    names: frozenset[str]
    """Of those that may be called."""
    special: dict[str, int]
    """The parts of a call that are tokens of their own."""
    make_mask: MakeMask

    def reader(self) -> ToolCallReader:
        """What parts one answer's text from its calls."""
        return ToolCallReader(self.syntax, self.names)


def calling(request: ChatRequest, served: ServedModel) -> Calling | None:
    """The tools of a request, or None if it has none. Compiling their schemas takes a while.

    Raises:
        RequestError: The model cannot be given tools, or these are wrong.
    """
    if not request.tools:
        if request.tool_choice not in (None, "none", "auto"):
            if isinstance(served.tool_syntax, str):
                raise refusal(served.tool_syntax, "tool_choice", "unsupported_value")
            message = "Invalid 'tool_choice': there are no `tools` to choose from."
            raise RequestError(message, param="tool_choice", code="invalid_value")
        return None
    syntax = served.tool_syntax
    if isinstance(syntax, str):
        raise refusal(syntax, "tools", "unsupported_parameter")
    _check(request.tools)
    names, must = _choice(request)
    schema = None if must else schema_of(request.response_format)
    if schema is not None and syntax.marker is None:
        message = (
            f"The calls of this model ({syntax.name}) are JSON themselves and could not be told from an"
            " answer of response_format: send one of the two, or require a call by `tool_choice`."
        )
        raise RequestError(message, param="response_format", code="unsupported_value")
    special = special_in_grammars(syntax.parts, served.tokenizer)
    grammar = CallGrammar(syntax, special, single=not request.parallel_tool_calls or must == "one")
    offered = [tool for tool in request.tools if tool.function.name in names]
    lark = grammar.text(offered, must=bool(must), schema=schema)
    try:
        make_mask = grammar_masks(LLMatcher.grammar_from_lark(lark), served.tokenizer, served.stop_token_ids)
    except ValueError as error:
        raise _blame(request, served, error) from error
    return Calling(
        tools=[_for_template(tool) for tool in request.tools],
        syntax=syntax,
        names=frozenset(names),
        special=special,
        make_mask=make_mask,
    )


def refusal(why: str, param: str, code: str) -> RequestError:
    """The error for what needs a chat template that knows tools."""
    return RequestError(f"Unsupported '{param}'. {why} {INSTEAD}", param=param, code=code)


def _check(tools: Sequence[FunctionTool]) -> None:
    """Refuse names that come twice, and arguments that are no object."""
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        param, name = f"tools[{index}].function", tool.function.name
        if name in seen:
            message = f"Invalid '{param}.name': there is a tool {name!r} already."
            raise RequestError(message, param=f"{param}.name", code="invalid_value")
        seen.add(name)
        if parameters_of(tool).get("type") != "object":
            message = f"Invalid '{param}.parameters': its `type` must be 'object', for a function takes one."
            raise RequestError(message, param=f"{param}.parameters", code="invalid_value")


def _choice(request: ChatRequest) -> tuple[list[str], Literal["one", "some"] | None]:
    """Which tools may be called, and how many must be."""
    known = [tool.function.name for tool in request.tools]
    match request.tool_choice:
        case NamedTool(function):
            return [_known(function.name, known, "tool_choice.function.name")], "one"
        case AllowedTools(allowed):
            where = "tool_choice.allowed_tools.tools[{}].function.name"
            names = [_known(t.function.name, known, where.format(i)) for i, t in enumerate(allowed.tools)]
            return names, "some" if allowed.mode == "required" else None
        case choice:
            return known, "some" if choice == "required" else None


def _known(name: str, known: Sequence[str], param: str) -> str:
    if name not in known:
        message = f"Invalid '{param}': there is no tool {name[:100]!r}; there are {', '.join(known)[:300]}."
        raise RequestError(message, param=param, code="invalid_value")
    return name


def _blame(request: ChatRequest, served: ServedModel, error: ValueError) -> RequestError:
    """The error that names what the grammar cannot hold to."""
    for index, tool in enumerate(request.tools):
        grammar = json_grammar(parameters_of(tool), lenient=not tool.function.strict)
        try:
            grammar_masks(grammar, served.tokenizer, frozenset())
        except ValueError as found:
            param = f"tools[{index}].function.parameters"
            message = f"Invalid '{param}': this schema cannot be held to: {found}"
            return RequestError(message, param=param, code="invalid_value")
    message = f"These tools cannot be held to together: {error}"
    return RequestError(message, param="tools", code="invalid_value")


def _for_template(tool: FunctionTool) -> dict[str, Any]:
    function = tool.function
    about = {"name": function.name, "description": function.description or ""}
    return {"type": "function", "function": about | {"parameters": parameters_of(tool)}}
