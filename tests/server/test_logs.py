"""What the log says, and of whom."""

import json
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from steersman_engine.engine import EngineError
from steersman_server.config import ServerConfig
from steersman_server.keys import ApiKey
from steersman_server.logs import OURS, configure_log

BODY = {"messages": [{"role": "user", "content": "Xylophone"}]}
HEADERS = {"authorization": "Bearer sesame", "x-request-id": "me-1"}
KEYS = (ApiKey.of("sesame", "alice"),)


@pytest.fixture
def err(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What the standard error output has got; logging is as it was afterwards."""
    root, hook = logging.getLogger(), threading.excepthook
    before = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in ("root", *OURS)}
    yield lambda: capsys.readouterr().err
    logging.captureWarnings(False)
    root.handlers, threading.excepthook = before, hook
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def lines(err: Callable[[], str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err().splitlines()]


def test_each_request_has_a_line_with_its_id_and_its_key_s_name(err, client_with):
    configure_log(ServerConfig(log_format="json", log_level="info"))
    with client_with(keys=KEYS) as http:
        http.post("/v1/chat/completions", json=BODY, headers=HEADERS)
    (line,) = [line for line in lines(err) if line["logger"] == "steersman_server.accounting"]
    assert (line["request_id"], line["key"]) == ("me-1", "alice")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/chat/completions", 200)
    assert line["tokens_read"] > 0 and line["tokens_written"] > 0 and line["level"] == "info"


def test_a_failure_has_its_traceback_and_whose_it_was(err, client_with, engine):
    configure_log(ServerConfig(log_format="json"))
    engine.says("", RuntimeError("broken"))
    with client_with(keys=KEYS) as http:
        assert http.post("/v1/chat/completions", json=BODY, headers=HEADERS).status_code == 500
    (line,) = lines(err)
    assert (line["request_id"], line["key"], line["level"]) == ("me-1", "alice", "error")
    assert line["exception"].startswith("Traceback") and "RuntimeError: broken" in line["exception"]


def test_a_failure_in_the_engine_s_thread_is_its_request_s(err, serving, really_served, monkeypatch):
    configure_log(ServerConfig(log_format="json"))

    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("steersman_engine.step.Stepper.compute", fail)
    url = serving(really_served, keys=KEYS)
    assert httpx.post(f"{url}/v1/chat/completions", json=BODY, headers=HEADERS).status_code == 500
    (line,) = [line for line in lines(err) if line["logger"] == "steersman_engine.engine_loop"]
    assert (line["request_id"], line["key"]) == ("me-1", "alice")


def test_neither_keys_nor_texts_are_in_it_at_any_level(err, client_with, engine):
    configure_log(ServerConfig(log_level="debug"))
    engine.says("Xylophone", EngineError("broken"))
    with client_with(keys=KEYS) as http:
        for path in ("/v1/chat/completions", "/v1/features/inspect", "/v1/tokenize?q=Xylophone"):
            http.post(path, json=BODY, headers=HEADERS)
            http.post(path, json=BODY | {"temperature": "Xylophone"}, headers=HEADERS)
        http.get("/v1/features?query=Xylophone", headers=HEADERS)
    text = err()
    assert text.count("[me-1 alice]") >= 8
    assert "sesame" not in text and "Xylophone" not in text


def test_lines_for_people_end_with_whose_they_are(err, client_with):
    configure_log(ServerConfig(log_level="info"))
    with client_with() as http:
        http.get("/no/such%0Apath", headers={"x-request-id": "me-2"})
    (line,) = err().splitlines()
    assert "GET /no/such%0Apath: 404 unknown_url, " in line and line.endswith(" s [me-2]")


def test_what_is_polled_is_told_to_those_who_debug(err, client_with):
    configure_log(ServerConfig(log_level="info"))
    with client_with() as http:
        http.get("/health")
    assert err() == ""
    configure_log(ServerConfig(log_level="debug"))
    with client_with() as http:
        http.get("/health")
    assert "GET /health: 200, " in err()


def test_warnings_and_lost_exceptions_have_the_same_form(err):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_log(ServerConfig(log_format="json"))
        warnings.warn("odd", stacklevel=1)
        logging.captureWarnings(False)
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()
    warned, lost = lines(err)
    assert warned["logger"] == "py.warnings" and "odd" in warned["message"]
    assert "worker" in lost["message"] and "ZeroDivisionError" in lost["exception"]


def test_others_lines_come_from_warnings_on(err):
    configure_log(ServerConfig(log_level="debug"))
    logging.getLogger("httpx").info("a URL")
    logging.getLogger("httpx").warning("a warning")
    text = err()
    assert "a warning" in text and "a URL" not in text


def test_what_uvicorn_says_has_the_same_form(err, serving, served):
    configure_log(ServerConfig(log_format="json", log_level="info"))
    httpx.get(f"{serving(served)}/health")
    assert {line["logger"] for line in lines(err)} == {"uvicorn.error"}
