import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from tests.sdk.conftest import FakeServer, chunk, error, sse, streamed

from steersman import Client
from steersman.terminal.chat import TerminalChat, typed_lines
from steersman.terminal.render import Style

Chat = Callable[..., tuple[str, str]]


@pytest.fixture
def chat(client: Client) -> Chat:
    """A whole chat on these lines: what it wrote, and its errors."""

    def run(
        *lines: str, system: str | None = None, colour: bool = False, interactive: bool = False
    ) -> tuple[str, str]:
        out, errors = io.StringIO(), io.StringIO()
        TerminalChat(
            client,
            {"model": "tiny", "max_tokens": 9},
            system=system,
            out=out,
            errors=errors,
            style=Style(colour),
            interactive=interactive,
        ).run(lines)
        return out.getvalue(), errors.getvalue()

    return run


def texts(body: dict[str, Any]) -> list[str]:
    return [f"{message['role']}: {message['content']}" for message in body["messages"]]


def test_an_answer_is_written_as_it_comes(chat: Chat) -> None:
    assert chat("Hi") == ("Hello\n", "")


def test_the_conversation_is_remembered(chat: Chat, server: FakeServer) -> None:
    chat("Hi", "Again", system="Be brief.")
    assert texts(server.bodies[1]) == ["system: Be brief.", "user: Hi", "assistant: Hello", "user: Again"]


def test_reset_forgets_the_conversation_but_not_the_system_message(chat: Chat, server: FakeServer) -> None:
    chat("Hi", "/reset", "Again", system="Be brief.")
    assert texts(server.bodies[1]) == ["system: Be brief.", "user: Again"]


def test_options_are_sent_with_each_question(chat: Chat, server: FakeServer) -> None:
    chat("Hi")
    assert server.bodies[0]["max_tokens"] == 9


def test_steering_edits_the_answers_after_it(chat: Chat, server: FakeServer) -> None:
    written, _ = chat("/steer 1 0.5", "Hi")
    assert written == "      1  set 0.5  pirates\nAhoy\n(steered: 1 set 0.5 on 7 tokens)\n"
    assert server.bodies[0]["feature_edits"] == [{"feature": 1, "strength": 0.5}]


def test_a_feature_has_one_edit_at_a_time(chat: Chat) -> None:
    written, _ = chat("/steer 1 0.5", "/steer 1 -1 add", "/edits")
    assert written.splitlines()[2:] == ["      1  add -1  pirates"]


def test_an_unknown_feature_is_not_steered(chat: Chat) -> None:
    assert chat("/steer 99 1", "/edits") == ("(no edits)\n", "No feature 99 in this catalog.\n")


@pytest.mark.parametrize("line", ["/unsteer 1", "/clear"])
def test_an_edit_can_be_taken_back(chat: Chat, server: FakeServer, line: str) -> None:
    chat("/steer 1 0.5", line, "Hi")
    assert "feature_edits" not in server.bodies[0]


def test_taking_back_what_is_not_there_is_an_error(chat: Chat) -> None:
    assert "Feature 3 is not steered" in chat("/unsteer 3")[1]


def test_the_plain_answer_differs_in_nothing_but_the_edits(chat: Chat, server: FakeServer) -> None:
    written, _ = chat("/steer 1 0.5", "Hi", "/plain")
    steered, plain = server.bodies
    assert steered.pop("feature_edits")
    assert steered == plain
    assert "seed" in plain
    assert written.endswith("(without edits)\nHello\n")


def test_the_conversation_goes_on_from_the_steered_answer(chat: Chat, server: FakeServer) -> None:
    chat("/steer 1 0.5", "Hi", "/plain", "Again")
    assert texts(server.bodies[2]) == ["user: Hi", "assistant: Ahoy", "user: Again"]


def test_there_is_nothing_to_compare_with_an_unsteered_answer(chat: Chat) -> None:
    assert "nothing to compare" in chat("Hi", "/plain")[1]


def test_search_lists_features(chat: Chat) -> None:
    assert chat("/search pira") == ("      1  pirates\n", "")


def test_show_marks_where_the_feature_fires(chat: Chat) -> None:
    written, _ = chat("/show 1")
    assert "h_max 8, fires on 1.250% of tokens" in written
    assert "7.5  user: the« jolly»↵ [31mroger" in written


def test_no_control_character_of_a_text_reaches_the_terminal(chat: Chat, server: FakeServer) -> None:
    server.instead = [
        streamed(sse(chunk("a\x1b]0;title\x07b\x9b"), chunk(finish="stop"), "[DONE]")),
    ]
    assert chat("Hi")[0] == "a]0;titleb\n"


def test_an_answer_is_explained_when_that_was_asked_for(chat: Chat) -> None:
    written, _ = chat("/why on", "Hi", "/why", "/why 0")
    assert "    0  'Ahoy'          1 pirates +0.7\n" in written
    assert "      1      +0.7  activation 2 of 8  pirates\n" in written


def test_an_answer_that_was_not_attributed_is_not_explained(chat: Chat) -> None:
    assert "was not attributed" in chat("Hi", "/why on", "/why")[1]


def test_a_token_that_was_not_attributed_is_named(chat: Chat) -> None:
    assert "no token 7 that was attributed (0 to 0)" in chat("/why on", "Hi", "/why 7")[1]


def test_an_answer_is_no_longer_than_can_be_explained(client: Client, server: FakeServer) -> None:
    out = io.StringIO()
    chat = TerminalChat(client, {}, system=None, out=out, errors=out, style=Style(False), interactive=False)
    chat.run(["Hi", "/why on", "Hi"])
    assert [body.get("max_tokens") for body in server.bodies] == [None, 256]


def test_attribution_can_be_switched_off(chat: Chat, server: FakeServer) -> None:
    chat("/why on", "/why off", "Hi")
    assert "attribution" not in server.bodies[0]


def test_after_an_error_the_chat_goes_on_without_the_question(chat: Chat, server: FakeServer) -> None:
    server.instead = [error(400, "Too long.")]
    written, errors = chat("A book", "Hi")
    assert (written, errors) == ("Hello\n", "Too long.\n")
    assert texts(server.bodies[1]) == ["user: Hi"]


def test_an_answer_that_met_the_token_limit_says_so(chat: Chat, server: FakeServer) -> None:
    server.instead = [
        streamed(sse(chunk("a"), chunk(finish="length"), "[DONE]")),
    ]
    assert chat("Hi")[0] == "a\n(ended early: length)\n"


def test_quit_ends_the_chat(chat: Chat) -> None:
    assert chat("/quit", "Hi") == ("", "")


def test_colours_only_where_they_are_wanted(chat: Chat) -> None:
    assert "\x1b" not in chat("/clear")[0]
    assert "\x1b[2m(no edits)\x1b[0m" in chat("/clear", colour=True)[0]


class InterruptedBody(httpx.SyncByteStream):
    """A stream during which the user presses Ctrl-C."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield sse(chunk("Hel"))
        raise KeyboardInterrupt

    def close(self) -> None:
        self.closed = True


def test_ctrl_c_stops_the_answer_and_keeps_what_there_is(chat: Chat, server: FakeServer) -> None:
    body = InterruptedBody()
    head = {"content-type": "text/event-stream"}
    server.instead = [
        httpx.Response(200, stream=body, headers=head),
    ]
    written, _ = chat("Hi", "Again", interactive=True)
    assert written == "Hel\n(stopped)\nHello\n"
    assert body.closed
    assert texts(server.bodies[1])[1] == "assistant: Hel"


def test_ctrl_c_ends_a_chat_that_nobody_types(chat: Chat, server: FakeServer) -> None:
    server.instead = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        chat("Hi")


def test_typing_goes_on_after_ctrl_c_and_ends_with_ctrl_d(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = iter(["one", KeyboardInterrupt(), "two", EOFError()])

    def press(_: str) -> str:
        key = next(keys)
        if isinstance(key, BaseException):
            raise key
        return key

    monkeypatch.setattr("builtins.input", press)
    assert list(typed_lines()) == ["one", "two"]
