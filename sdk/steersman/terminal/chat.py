"""The terminal chat: lines in, answers out."""

import random
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TextIO

from steersman.calls import ChatOptions
from steersman.client import Client
from steersman.errors import SteersmanError
from steersman.stream import ChatStream
from steersman.terminal import render, slash
from steersman.terminal.render import Style
from steersman.types import AttributionOptions, ChoiceAttribution, FeatureEdit, Message

PROMPT = "> "
MAX_EXPLAINED = 256
"""Tokens of an answer that a server explains at most."""
NO_ATTRIBUTION = "The last answer was not attributed: `/why on` attributes those that come after it."


@dataclass(frozen=True)
class Turn:
    """The last question as it was asked, and why the answer came out as it did."""

    messages: list[Message]
    seed: int
    edited: bool
    attribution: list[ChoiceAttribution] | None


class TerminalChat:
    """A conversation, the edits in force, and the commands that change them."""

    def __init__(
        self,
        client: Client,
        options: ChatOptions,
        *,
        system: str | None,
        out: TextIO,
        errors: TextIO,
        style: Style,
        interactive: bool,
    ) -> None:
        self._client = client
        self._options = options
        self._opening = [Message("system", system)] if system else []
        self._messages = list(self._opening)
        self._edits: dict[int, FeatureEdit] = {}
        self._labels: dict[int, str] = {}
        self._attribute = False
        self._last: Turn | None = None
        self._out, self._errors, self._style = out, errors, style
        self._interactive = interactive

    def run(self, lines: Iterable[str]) -> None:
        """Take `lines` until they end or one says /quit. Errors are told, and the chat goes on."""
        for line in lines:
            try:
                wish = slash.parse(line)
                if wish == "quit":
                    return
                if wish is not None:
                    self._do(wish)
            except (ValueError, SteersmanError) as error:
                print(render.printable(str(error)), file=self._errors)
            except KeyboardInterrupt:
                if not self._interactive:
                    raise
                self._note("(stopped)")

    def _do(self, wish: slash.Line) -> None:
        match wish:
            case slash.Say(text):
                self._say(text)
            case slash.Steer(edit):
                self._steer(edit)
            case slash.Unsteer(feature):
                self._unsteer(feature)
            case slash.Search(query):
                self._search(query)
            case slash.Show(feature):
                self._print(render.feature_page(self._client.features.get(feature), self._style))
            case slash.Explain(token):
                self._explain(token)
            case slash.Attribute(on):
                self._attribute = on
                limit = f"attributed, and have at most {MAX_EXPLAINED} tokens" if on else "not attributed"
                self._note(f"(the next answers are {limit})")
            case "edits":
                self._list_edits()
            case "clear":
                self._edits.clear()
                self._note("(no edits)")
            case "plain":
                self._ask_plainly()
            case "reset":
                self._messages, self._last = list(self._opening), None
                self._note("(a new conversation)")
            case "help":
                self._print(slash.HELP)
            case "quit":
                raise AssertionError("run() ends before")

    def _say(self, text: str) -> None:
        messages = [*self._messages, Message("user", text)]
        seed = self._options.get("seed")
        if seed is None:
            seed = random.getrandbits(31)  # known, so that /plain differs in nothing but the edits
        edits = list(self._edits.values())
        answer = self._ask(messages, seed, edits, attribute=self._attribute)
        self._last = Turn(messages, seed, bool(edits), answer.attribution)
        if answer.text:
            self._messages = [*messages, Message("assistant", answer.text)]

    def _ask_plainly(self) -> None:
        if self._last is None or not self._last.edited:
            raise ValueError("There is nothing to compare: no answer so far, or the last one had no edits.")
        self._note("(without edits)")
        self._ask(self._last.messages, self._last.seed, [], attribute=False)

    def _ask(
        self, messages: list[Message], seed: int, edits: list[FeatureEdit], *, attribute: bool
    ) -> ChatStream:
        """Stream an answer to the screen. Ctrl-C ends it early, with what there is of it."""
        options: ChatOptions = {**self._options, "seed": seed, "feature_edits": edits}
        if attribute:
            options["attribution"] = AttributionOptions()
            options["max_tokens"] = min(options.get("max_tokens") or MAX_EXPLAINED, MAX_EXPLAINED)
        with self._client.chat.completions.create(messages=messages, stream=True, **options) as stream:
            try:
                for chunk in stream:
                    for choice in chunk.choices:
                        self._print(render.printable(choice.delta.content or ""), end="")
            except KeyboardInterrupt:
                if not self._interactive:
                    raise
            finally:
                self._print("")
        if stream.finish_reason is None:
            self._note("(stopped)")
        elif stream.finish_reason != "stop":
            self._note(f"(ended early: {stream.finish_reason})")
        if stream.steering is not None and stream.steering.edits:
            self._note(render.receipt_line(stream.steering))
        return stream

    def _steer(self, edit: FeatureEdit) -> None:
        feature = self._client.features.get(edit.feature)
        self._labels[edit.feature] = feature.label
        self._edits[edit.feature] = edit
        self._print(render.edit_line(edit, feature.label))

    def _unsteer(self, feature: int) -> None:
        if feature not in self._edits:
            raise ValueError(f"Feature {feature} is not steered; /edits lists those that are.")
        del self._edits[feature]
        self._note(f"(feature {feature} is left alone)")

    def _list_edits(self) -> None:
        if not self._edits:
            self._note("(no edits)")
        for edit in self._edits.values():
            self._print(render.edit_line(edit, self._labels[edit.feature]))

    def _search(self, query: str) -> None:
        found = self._client.features.search(query).data
        if not found:
            self._note("(nothing found)")
        for feature in found:
            self._print(render.feature_line(feature))

    def _explain(self, token: int | None) -> None:
        if self._last is None or not self._last.attribution:
            raise ValueError(NO_ATTRIBUTION)
        choice = self._last.attribution[0]
        if token is None:
            self._print(render.attribution_overview(choice))
        else:
            self._print(render.attribution_of_token(choice, token))

    def _print(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=self._out, flush=True)

    def _note(self, text: str) -> None:
        self._print(self._style.dim(text))


def typed_lines() -> Iterator[str]:
    """Lines that a person types, until Ctrl-D; Ctrl-C starts the line afresh."""
    with suppress(ImportError):  # Windows has none
        import_module("readline")  # gives input() history and editing
    while True:
        try:
            yield input(PROMPT)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("\n(Ctrl-D or /quit leaves)")
