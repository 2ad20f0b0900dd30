"""The grammar of answers that may call tools, in the form of `llguidance`.

A grammar is rules in small letters over terms in capitals; a term is read as far as it goes, so that text
and the calls behind it must not be able to begin alike.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.types import FunctionTool
from steersman_server.plans.masks import json_rule
from steersman_server.tool_syntax import ToolSyntax

ANY = "(?s:.*)"
BLANKS = r"[ \n]{0,8}"
NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}


def parameters_of(tool: FunctionTool) -> dict[str, Any]:
    """The schema of a tool's arguments."""
    return NO_ARGUMENTS if tool.function.parameters is None else tool.function.parameters


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """Writes grammars for one syntax."""

    syntax: ToolSyntax
    special: Mapping[str, int]
    """Parts of the syntax that are tokens of their own, which a term cannot hold."""
    single: bool
    """Whether there is one call at most."""

    def text(self, tools: Sequence[FunctionTool], *, must: bool, schema: Mapping[str, Any] | None) -> str:
        """The grammar of answers that call some of `tools`.

        `must`: they cannot do without; `schema`: of what they say otherwise, where it is JSON.
        """
        rules = {"start": self._calls() if must else self._free(tools, schema is not None)}
        if schema is not None:
            rules["said"] = f"%json {json_rule(schema)}"
        rules["body"] = self._body(empty=not must)
        rules["call"] = " | ".join(f"call_{i}" for i in range(len(tools)))
        for i, tool in enumerate(tools):
            lenient = not tool.function.strict
            rules[f"call_{i}"] = f'HEAD_{i} arguments_{i} BLANKS? "}}"'
            rules[f"HEAD_{i}"] = _term(self._head([tool.function.name], whole=True))
            rules[f"arguments_{i}"] = f"%json {json_rule(parameters_of(tool), lenient=lenient)}"
        rules["BLANKS"] = r"/[ \n]{1,8}/"
        return "\n".join(f"{name}: {rule}" for name, rule in rules.items()) + self._lead()

    def _free(self, tools: Sequence[FunctionTool], has_schema: bool) -> str:
        """Text, or calls, or some text and then calls."""
        marker = self.syntax.marker
        if has_schema:
            return f"said | {self._calls()}"
        if marker is None:
            begun = self._head([tool.function.name for tool in tools], whole=False)
            tag = self._part(self.syntax.tag) if self.syntax.tag in self.special else ""
            return f"TEXT | {tag}{'?' if tag else ''} body\nTEXT: {_without(begun + ANY)}"
        begun = f"TEXT? {self._part(marker)}" if marker in self.special else "lead"
        text = _without(ANY + re.escape(marker) + ANY)
        return f"TEXT | {begun} {self._behind_marker()}\nTEXT: {text}"

    def _lead(self) -> str:
        """Any text up to the first marker."""
        marker = self.syntax.marker
        return "" if marker is None else f"\nlead[lazy]: {_term(ANY + re.escape(marker))}\n"

    def _calls(self) -> str:
        marker = self.syntax.marker
        return "body" if marker is None else f"{self._part(marker)} {self._behind_marker()}"

    def _behind_marker(self) -> str:
        marker, more = self.syntax.marker, ""
        if self.syntax.repeats and not self.single:
            more = f" (BLANKS? {self._part(marker)} BLANKS? body)*"
        return f"BLANKS? body{more} BLANKS?"

    def _body(self, *, empty: bool) -> str:
        """A wrapping behind its marker: a call, or several of them."""
        separator = self.syntax.separator
        calls = "call"
        if separator is not None:
            calls = "call" if self.single else f"call (BLANKS? {self._part(separator)} BLANKS? call)*"
            calls = f"({calls})?" if empty else calls
        parts = [*map(self._part, self.syntax.opening[1:]), calls, *map(self._part, self.syntax.closing)]
        return " BLANKS? ".join(parts)

    def _part(self, text: str | None) -> str:
        assert text is not None
        return f"<[{self.special[text]}]>" if text in self.special else json.dumps(text)

    def _head(self, names: Sequence[str], *, whole: bool) -> str:
        """A pattern of a call up to its arguments, or up to the end of its name."""
        parts = ["", r"\{"] if self.syntax.marker is None else [r"\{"]
        parts += ['"name"', ":", f'"({"|".join(map(re.escape, names))})"']
        if whole:
            parts += [",", f'"{self.syntax.arguments}"', ":", ""]
        return BLANKS.join(parts)


def _term(pattern: str) -> str:
    return "/" + pattern.replace("/", r"\/") + "/"


def _without(pattern: str) -> str:
    """Any text that a pattern does not match."""
    return f"{_term(ANY)} & ~{_term(pattern)}"
