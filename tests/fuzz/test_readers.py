"""Readers of what clients, servers and people write: any bytes are read or refused, in the documented way."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.cases import damaged, fuzz

from steersman.sse import EventDecoder
from steersman.types import ChatRequest, CompletionRequest, InspectRequest, SweepRequest, VariantRequest
from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError
from steersman_server.requests.decoding import StrictDecoder
from steersman_server.requests.fields import CHAT_FIELDS
from steersman_server.settings import read_settings

EDIT = {"feature": 1, "strength": 0.5, "when": {"feature": 2, "op": ">", "value": 0.1}}
BODY = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "é\u2028🦜"}]}],
    "feature_edits": [EDIT], "attribution": {"tokens": [0], "target": {"token": " a"}}, "stop": ["a", "b"],
    "logit_bias": {"5": 1.5}, "response_format": {"type": "json_object"}, "n": 2, "seed": None,
}  # fmt: skip
NUMBERS = st.sampled_from(["1e999", "-1e999", "1" * 5000, "0." + "1" * 5000, "-0", "1E400", "9" * 400])
BODIES = (
    damaged(json.dumps(BODY).encode())
    | st.binary(max_size=60)
    | st.sampled_from(
        [b"[" * 100_000, b'{"messages":' * 100_000, b'{"a":1,"a":2}', b"\xef\xbb\xbf{}", b"null"]
    )
    | NUMBERS.map(lambda number: f'{{"messages": [], "seed": {number}, "temperature": {number}}}'.encode())
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*BODY, "feature", "x"]), inner, max_size=4)
        ),
    ).map(lambda made: json.dumps(made).encode())
)


@fuzz
@given(BODIES)
@pytest.mark.parametrize(
    "kind", [ChatRequest, CompletionRequest, InspectRequest, SweepRequest, VariantRequest]
)
def test_any_body_is_decoded_or_refused(kind: Any, body: bytes) -> None:
    try:
        found = StrictDecoder(kind, CHAT_FIELDS).decode(body)
    except RequestError as error:
        assert len(str(error)) < 2000
    else:
        assert isinstance(found, kind)


TOML = 'host = "::1"\nport = 80\nmax_strength = 1.5\n[[keys]]\nname = "a"\nsha256 = "' + "0" * 64 + '"\n'


@fuzz
@given(damaged(TOML.encode()) | st.binary(max_size=60))
def test_any_file_of_settings_is_read_or_refused_by_name(tmp_path_factory: Any, content: bytes) -> None:
    path: Path = tmp_path_factory.mktemp("settings") / "server.toml"
    path.write_bytes(content)
    try:
        read_settings(ServerConfig, flags={}, environment={}, file=path, defaults={})
    except ValueError as error:
        assert str(path) in str(error)


def test_settings_nested_too_deeply_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text("a = " + "[" * 50_000)
    with pytest.raises(ValueError, match=str(path)):
        read_settings(ServerConfig, flags={}, environment={}, file=path, defaults={})


@fuzz
@given(st.lists(st.binary(max_size=30) | st.sampled_from([b"data: ", b"\r", b"\n", b":", b"\0", b"\xff"])))
def test_any_bytes_are_events_or_none(pieces: list[bytes]) -> None:
    whole, decoder = EventDecoder(), EventDecoder()
    cut = [event for piece in pieces for event in decoder.feed(piece)]
    assert whole.feed(b"".join(pieces)) == cut
