"""Who may ask."""

import hashlib

import pytest

from steersman_server.auth import check_host, names_of
from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError
from steersman_server.keys import is_loopback, read_keys

KEYS = ["first", f"sha256:{hashlib.sha256(b'second').hexdigest()}", "# a comment", ""]


@pytest.fixture(scope="module")
def guarded(client_with):
    with client_with(keys=read_keys(KEYS)) as client:
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


def test_a_foreign_host_is_refused(http):
    answer = http.get("/health", headers={"host": "evil.example:8000"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_not_allowed")


def test_only_digests_are_kept():
    assert [key.sha256 for key in read_keys(KEYS)] == [
        hashlib.sha256(key).hexdigest() for key in (b"first", b"second")
    ]


def test_a_line_names_its_key_and_gives_it_a_role():
    named, unnamed = read_keys(["first alice chat", "second"])
    assert (named.name, named.role) == ("alice", "chat")
    assert unnamed.name == f"key-{hashlib.sha256(b'second').hexdigest()[:8]}"


@pytest.mark.parametrize("line", ["sha256:12", "key name chat more", "kéy", "key name boss", "key na/me"])
def test_a_line_that_is_no_key_is_refused(line):
    with pytest.raises(ValueError, match="Line 1"):
        read_keys([line])


@pytest.mark.parametrize(
    ("host", "only_here"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example.org", False)],
)
def test_loopback_is_this_machine(host, only_here):
    assert is_loopback(host) is only_here


NAMES = ["localhost:8000", "127.0.0.1", "[::1]:8000", "192.168.1.7:8000"]


@pytest.mark.parametrize("host", [*NAMES, "mine.example", "MINE.example:80"])
def test_a_server_goes_by_addresses_and_the_names_it_was_given(host):
    names = names_of(ServerConfig(host="0.0.0.0", auth=False, allow_host=("mine.example",)))
    check_host(names, host)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:80"])
def test_without_keys_no_other_name_will_do(host):
    with pytest.raises(RequestError, match="--allow-host"):
        check_host(names_of(ServerConfig(host="0.0.0.0", auth=False)), host)


@pytest.mark.parametrize("settings", [{"keys": read_keys(["secret"])}, {"allow_host": ("*",)}], ids=str)
def test_where_a_key_is_asked_for_or_all_are_allowed_any_name_will_do(settings):
    check_host(names_of(ServerConfig(**settings)), "any.example")
