"""Who may ask."""

import hashlib

import pytest
from litestar.testing import TestClient

from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.keys import is_loopback, read_keys

KEYS = ["first", f"sha256:{hashlib.sha256(b'second').hexdigest()}", "# a comment", ""]


@pytest.fixture(scope="module")
def guarded(served):
    config = ServerConfig(api_keys=read_keys(KEYS), allowed_hosts=frozenset({"testserver.local"}))
    with TestClient(create_app(served, config), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("headers", [{"authorization": "Bearer first"}, {"x-api-key": "second"}], ids=str)
def test_a_key_opens(guarded, headers):
    assert guarded.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer third"}, {"authorization": "Basic first"}, {"x-api-key": ""}],
    ids=str,
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/variants"])
def test_without_a_key_nothing_is_answered(guarded, path, headers):
    answer = guarded.get(path, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/health", "/ready", "/docs"])
def test_health_and_documents_ask_for_no_key(guarded, path):
    assert guarded.get(path).status_code == 200


def test_a_foreign_host_is_refused(guarded):
    answer = guarded.get("/health", headers={"host": "evil.example:8000"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_not_allowed")


def test_only_digests_are_kept():
    assert read_keys(KEYS) == {hashlib.sha256(key).digest() for key in (b"first", b"second")}


@pytest.mark.parametrize("line", ["sha256:12", "two words", "kéy"])
def test_a_line_that_is_no_key_is_refused(line):
    with pytest.raises(ValueError, match="Line 1"):
        read_keys([line])


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example.org", False)],
)
def test_loopback_is_this_machine(host, only_here):
    assert is_loopback(host) is only_here


def test_a_server_that_others_reach_wants_keys(monkeypatch):
    from argparse import ArgumentParser

    from steersman_server.command import command

    monkeypatch.delenv("STEERSMAN_API_KEYS", raising=False)
    parser = ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(ValueError, match="--api-key-file"):
        command.run(parser.parse_args(["--host", "0.0.0.0"]))
