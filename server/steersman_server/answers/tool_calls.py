"""Calls of tools in an answer's text, wherever the pieces of it are cut."""

import secrets
from collections.abc import Callable, Collection, Mapping
from enum import Enum

from steersman.types import FunctionCallDelta, ToolCallDelta
from steersman_server.answers.stop_strings import overlap
from steersman_server.tool_syntax import ToolSyntax


class Ahead(Enum):
    """What a head or a tail leads to."""

    ARGUMENTS = "arguments"
    CALL = "call"
    TEXT = "text"


class ToolCallReader:
    """Parts text from calls: a call is told of once its name is known, and grows as it is written.

    A call of a function that is not there, or one that breaks off before its arguments, is text as any
    other. Blanks between text and calls are left out.
    """

    def __init__(self, syntax: ToolSyntax, names: Collection[str]) -> None:
        heads = {f'{{"name":"{name}","{syntax.arguments}":{{': (Ahead.ARGUMENTS, name) for name in names}
        opening, closing = "".join(syntax.opening), "".join(syntax.closing)
        self._marker = syntax.marker
        self._next_heads = heads
        self._heads = {opening + head: what for head, what in heads.items()}
        if syntax.tag is not None:
            self._heads |= {syntax.tag + head: what for head, what in self._heads.items()}
        self._tails = {"}" + closing: (Ahead.TEXT, "")}
        if syntax.separator is not None:
            self._heads[opening + closing] = (Ahead.TEXT, "")
            self._tails["}" + syntax.separator] = (Ahead.CALL, "")
        self._step: Callable[[], bool] = self._seek if self._marker else self._head
        self._held = ""
        self._text: list[str] = []
        self._deltas: list[ToolCallDelta] = []
        self._num_calls = 0
        self._object = JsonObject()

    @property
    def num_held(self) -> int:
        """Characters of which it is not known yet what they are."""
        return len(self._held)

    @property
    def called(self) -> bool:
        """Whether there are calls, of which no part is missing."""
        return self._num_calls > 0 and self._step != self._arguments

    def push(self, piece: str, *, last: bool) -> tuple[str, list[ToolCallDelta]]:
        """What is now known to be text, and what is new of calls."""
        self._held += piece
        self._text, self._deltas = [], []
        while self._step():
            pass
        if last:
            self._end()
        return "".join(self._text), self._deltas

    def _seek(self) -> bool:
        """In text: let it through, but for blanks that a call may follow."""
        at = self._held.find(self._marker) if self._marker else -1
        found = at >= 0
        if not found:
            at = len(self._held) - (overlap(self._held, self._marker) if self._marker else 0)
        self._say(len(self._held[:at].rstrip()))
        if found:
            self._step = self._head
        return found

    def _head(self) -> bool:
        """Where a call may begin."""
        return self._read(self._heads, self._not_a_call)

    def _next_head(self) -> bool:
        """Where another call of the same wrapping begins."""
        return self._read(self._next_heads, self._go_on)

    def _tail(self) -> bool:
        """Behind the arguments."""
        return self._read(self._tails, self._go_on)

    def _read(self, wanted: Mapping[str, tuple[Ahead, str]], otherwise: Callable[[], None]) -> bool:
        found = beginning(self._held, wanted)
        if isinstance(found, tuple):
            (ahead, name), end = wanted[found[0]], found[1]
            self._held = self._held[end - (ahead is Ahead.ARGUMENTS) :]
            if ahead is Ahead.ARGUMENTS:
                self._begin_call(name)
            self._step = {
                Ahead.ARGUMENTS: self._arguments,
                Ahead.CALL: self._next_head,
                Ahead.TEXT: self._seek,
            }[ahead]
        elif not found:
            otherwise()
        return found is not True

    def _begin_call(self, name: str) -> None:
        index, self._num_calls = self._num_calls, self._num_calls + 1
        called = FunctionCallDelta(name=name, arguments="")
        identifier = f"call_{secrets.token_hex(12)}"
        self._deltas.append(ToolCallDelta(index=index, id=identifier, type="function", function=called))
        self._object = JsonObject()

    def _arguments(self) -> bool:
        """In a call's arguments: pass them on to where they end."""
        end = self._object.end(self._held)
        piece, self._held = self._held[:end], self._held[end:]
        if piece:
            more = FunctionCallDelta(arguments=piece)
            self._deltas.append(ToolCallDelta(index=self._num_calls - 1, function=more))
        if self._object.complete:
            self._step = self._tail
        return self._object.complete

    def _not_a_call(self) -> None:
        """Let the marker through as text; without one there is nothing more to look for."""
        self._say(self._held.find(self._marker) + len(self._marker) if self._marker else 0)
        self._step = self._seek

    def _go_on(self) -> None:
        self._step = self._seek

    def _end(self) -> None:
        """Nothing follows: what is held back is text, unless it is a call's."""
        of_calls = self._step in (self._next_head, self._tail)
        if not of_calls and not (self._num_calls and self._held.isspace()):
            self._say(len(self._held))
        self._held = ""

    def _say(self, length: int) -> None:
        self._text.append(self._held[:length])
        self._held = self._held[length:]


class JsonObject:
    """Where a JSON object ends, as its text comes."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.complete = False

    def end(self, piece: str) -> int:
        """How much of the next piece belongs to it."""
        for at, char in enumerate(piece):
            if self._in_string:
                if self._escaped:
                    self._escaped = False
                elif char == "\\":
                    self._escaped = True
                elif char == '"':
                    self._in_string = False
            elif char == '"':
                self._in_string = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if self._depth == 0:
                    self.complete = True
                    return at + 1
        return len(piece)


def beginning(text: str, wanted: Collection[str]) -> tuple[str, int] | bool:
    """Which of `wanted` the text begins with, and where that ends; else whether it still may.

    Blanks in the text do not count; none of `wanted` begins with another.
    """
    read = ""
    for at, char in enumerate(text):
        if char.isspace():
            continue
        read += char
        if read in wanted:
            return read, at + 1
        if not any(one.startswith(read) for one in wanted):
            return False
    return True
