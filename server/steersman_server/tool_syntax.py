"""How a model writes calls of tools, told from what its chat template does.

A call is `{"name": "f", "arguments": {…}}` in some wrapping; blanks may stand between its parts.
"""

import re
from dataclasses import dataclass
from itertools import takewhile

from transformers import PreTrainedTokenizerBase

from steersman_engine.prompt import special_tokens
from steersman_engine.rendering import Template, template_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSyntax:
    """One way to write calls."""

    name: str
    opening: tuple[str, ...] = ()
    """What stands before the calls; nothing: a call is the whole answer."""
    closing: tuple[str, ...] = ()
    separator: str | None = None
    """Between two calls of the same wrapping, if there may be two."""
    repeats: bool = False
    """Whether several wrappings may follow one another."""
    arguments: str = "arguments"
    """What the field of the arguments is called."""
    tag: str | None = None
    """A token that may stand before all of it."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What stands around calls."""
        return (*self.opening, *self.closing, *(() if self.tag is None else (self.tag,)))

    @property
    def marker(self) -> str | None:
        """Where this comes up in an answer, calls begin."""
        return self.opening[0] if self.opening else None


HERMES = ToolSyntax(name="Hermes", opening=("<tool_call>",), closing=("</tool_call>",), repeats=True)
"""As Hermes and Qwen 2.5 write: each call in a wrapping of its own."""
LIST = ToolSyntax(name="list", opening=("<tool_call>", "["), closing=("]", "</tool_call>"), separator=",")
"""As SmolLM2-1.7B-Instruct writes: a list of calls, which may be empty."""
LLAMA = ToolSyntax(name="Llama 3.1", arguments="parameters", tag="<|python_tag|>")
"""As Llama 3.1 and 3.2 write: one call, and nothing else."""
SYNTAXES = (HERMES, LIST, LLAMA)

NAME, KEY, VALUE = "steersman_probe", "steersman_key", "steersman_value"
PROBE = {
    "type": "function",
    "function": {
        "name": NAME,
        "description": "Does nothing.",
        "parameters": {"type": "object", "properties": {KEY: {"type": "string"}}, "required": [KEY]},
    },
}
ASKED = {"role": "user", "content": "Hi"}
CALLED = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"id": "probecall", "type": "function", "function": {"name": NAME, "arguments": {KEY: VALUE}}}
    ],
}
KNOWS_NONE = "The chat template of this model knows no tools, so the model cannot be told of any."
UNREADABLE = "The chat template of this model writes calls of tools as this server cannot read them: {}."


def syntax_of(tokenizer: PreTrainedTokenizerBase) -> ToolSyntax | str:
    """How this model's calls are written; or why it cannot be given tools, in words."""
    template = template_of(tokenizer, [PROBE])
    try:
        told = template([ASKED], generate=True)
    except ValueError:
        return KNOWS_NONE
    if NAME not in told:
        return KNOWS_NONE
    written = _written_call(template, told)
    if NAME not in written:  # so it only says how to call
        shown = (syntax for syntax in (LIST, HERMES) if re.search(_instruction(syntax), told))
        return next(shown, UNREADABLE.format("it shows none"))
    for token in special_tokens(tokenizer):
        if all(token not in (*syntax.opening, *syntax.closing) for syntax in SYNTAXES):
            written = written.replace(token, "")
    found = (syntax for syntax in SYNTAXES if re.fullmatch(_call(syntax), written.strip()))
    return next(found, UNREADABLE.format(repr(written.strip()[:100])))


def _written_call(template: Template, told: str) -> str:
    """What the template writes for a call of the probe; nothing where it refuses to."""
    try:
        whole = template([ASKED, CALLED], generate=False)
    except ValueError:
        return ""
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(told, whole, strict=False))
    return whole[sum(1 for _ in shared) :]


def _call(syntax: ToolSyntax) -> str:
    """A pattern of the probe's call."""
    call = ["{", '"name"', ":", f'"{NAME}"', ",", f'"{syntax.arguments}"', ":"]
    call += ["{", f'"{KEY}"', ":", f'"{VALUE}"', "}", "}"]
    return r"\s*".join(map(re.escape, [*syntax.opening, *call, *syntax.closing]))


def _instruction(syntax: ToolSyntax) -> str:
    """A pattern of an example of a call."""
    return r"\s*".join(map(re.escape, [*syntax.opening, "{", '"name"', ":"]))
