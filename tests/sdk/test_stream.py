from collections.abc import Iterator

import httpx
import msgspec
import pytest
from tests.sdk.conftest import ATTRIBUTION, RECEIPT, FakeServer, chunk, sse, streamed

import steersman
from steersman import ChatStream, Client

HELLO = [{"role": "user", "content": "Hi"}]
ENVELOPE = {"error": {"message": "out of memory", "type": "server_error", "param": None, "code": "oom"}}


class Pieces(httpx.SyncByteStream):
    """A body in network chunks of our choice, which knows whether it was closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        self.closed = True


def stream_of(*pieces: bytes | Exception) -> ChatStream:
    return ChatStream(httpx.Response(200, stream=Pieces(*pieces), headers={"x-request-id": "req-9"}))


def test_an_answer_and_done_in_one_network_chunk_are_both_seen() -> None:
    stream = stream_of(sse(chunk("all"), chunk(finish="stop"), "[DONE]"))
    assert len(list(stream)) == 2
    assert (stream.text, stream.finish_reason) == ("all", "stop")


def test_text_that_looks_like_the_protocol_is_text() -> None:
    stream = stream_of(sse(chunk("data: [DONE]\n\ndata: x"), "[DONE]"))
    assert [event.choices[0].delta.content for event in stream] == ["data: [DONE]\n\ndata: x"]


def test_a_stream_collects_all_that_its_chunks_say(client: Client) -> None:
    with client.chat.completions.create(
        messages=HELLO, stream=True, feature_edits=[{"feature": 1, "strength": 0.5}], attribution={}
    ) as stream:
        for _ in stream:
            pass
    assert (stream.text, stream.finish_reason) == ("Ahoy", "stop")
    assert msgspec.to_builtins(stream.steering) == RECEIPT
    assert msgspec.to_builtins(stream.attribution) == ATTRIBUTION
    assert stream.usage == steersman.Usage(3, 1, 4)


def test_text_grows_while_the_stream_is_read(client: Client) -> None:
    stream = client.chat.completions.create(messages=HELLO, stream=True)
    next(stream)
    assert stream.text == "He"
    stream.close()


def test_leaving_the_block_early_closes_the_response() -> None:
    body = Pieces(sse(chunk("a")), sse(chunk("b")), sse("[DONE]"))
    with ChatStream(httpx.Response(200, stream=body)) as stream:
        next(stream)
    assert body.closed
    assert list(stream) == []


def test_a_stream_read_to_its_end_closes_the_response() -> None:
    body = Pieces(sse("[DONE]"))
    list(ChatStream(httpx.Response(200, stream=body)))
    assert body.closed


def test_an_error_in_the_middle_is_raised_after_the_text_before_it() -> None:
    stream = stream_of(sse(chunk("half"), ENVELOPE, "[DONE]"))
    with pytest.raises(steersman.StreamError, match="out of memory") as caught:
        list(stream)
    assert stream.text == "half"
    assert (caught.value.code, caught.value.request_id) == ("oom", "req-9")


def test_an_event_named_error_is_an_error_whatever_it_holds() -> None:
    with pytest.raises(steersman.StreamError, match="boom"):
        list(stream_of(b"event: error\ndata: boom\n\n"))


def test_a_stream_that_ends_without_done_is_incomplete() -> None:
    with pytest.raises(steersman.APIConnectionError, match="incomplete"):
        list(stream_of(sse(chunk("half"))))


def test_a_stream_that_breaks_off_says_so() -> None:
    with pytest.raises(steersman.APIConnectionError, match="broke off: reset"):
        list(stream_of(sse(chunk("half")), httpx.ReadError("reset")))


def test_a_stream_that_stalls_is_a_timeout() -> None:
    with pytest.raises(steersman.APITimeoutError):
        list(stream_of(httpx.ReadTimeout("too long")))


def test_an_event_that_is_no_chunk_is_shown() -> None:
    with pytest.raises(steersman.ResponseError, match="pong"):
        list(stream_of(sse("pong")))


def test_a_started_stream_is_not_asked_for_again(
    client: Client, server: FakeServer, sleeps: list[float]
) -> None:
    server.instead = [streamed(sse(chunk("half")))]
    stream = client.chat.completions.create(messages=HELLO, model="tiny", stream=True)
    with pytest.raises(steersman.APIConnectionError):
        list(stream)
    assert len(server.requests) == 1


def test_a_whole_answer_to_a_request_for_a_stream_is_refused(client: Client, server: FakeServer) -> None:
    server.instead = [httpx.Response(200, json={})]
    with pytest.raises(steersman.ResponseError, match="application/json"):
        client.chat.completions.create(messages=HELLO, model="tiny", stream=True)
