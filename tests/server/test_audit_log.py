"""What the audit log says of requests, and what becomes of it on a full disk."""

import json
import logging
import os
import resource
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import REFUSED, FakeEngine

from steersman.goodfire import write_controller
from steersman.types import FeatureEdit
from steersman_engine.engine import EngineError
from steersman_server.audit_log import AuditFile
from steersman_server.keys import ApiKey

MARKER = "Xylophone"
BODY: dict[str, Any] = {"model": "org/tiny", "messages": [{"role": "user", "content": MARKER}]}
EDIT = {"feature": 1, "strength": 0.5}
KEY = {"authorization": "Bearer sesame"}
Post = Callable[..., list[dict[str, Any]]]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


@pytest.fixture
def records(client_with, engine: FakeEngine, path: Path) -> Post:
    """Sends requests, (method, path, body) each, to a server of its own; gives the records of them."""

    def send(*asked: tuple[str, str, Any], headers: dict[str, str] | None = None, **settings):
        settings |= {"keys": (ApiKey.of("sesame", "alice"),)}
        with client_with(audit_log=path, **settings) as http:
            for method, url, body in asked:
                http.request(method, url, json=body, headers=KEY if headers is None else headers)
        return read(path)

    return send


def chat(**more: Any) -> tuple[str, str, Any]:
    return "POST", "/v1/chat/completions", BODY | more


def test_a_record_says_who_did_what_to_what_effect(records: Post):
    (record,) = records(chat(feature_edits=[EDIT]), headers=KEY | {"x-request-id": "me-1"})
    assert record["request_id"] == "me-1" and record["key"] == "alice"
    assert record["route"] == "/v1/chat/completions" and record["method"] == "POST"
    assert record["model"] == "org/tiny" and record["bundle"] == "tiny@12345678"
    assert record["asked"] == {"feature_edits": [EDIT]}
    (edit,) = record["steering"][0]["edits"]
    assert (edit["mode"], edit["add"]) == ("set", 2.0)
    assert edit["tokens_edited"] == record["tokens_written"] == record["answers"][0]["tokens"] > 0
    assert edit["mean_activation_before"] == 3.0
    assert record["answers"][0]["finish_reason"] == "stop"
    assert record["status"] == 200 and record["tokens_read"] > 0 and record["seconds"] > 0


def test_the_key_is_never_in_it(records: Post, path: Path):
    records(chat(audit_text=True), chat())
    assert "sesame" not in path.read_text()


@pytest.mark.parametrize(
    "asked",
    [
        chat(stop=MARKER, attribution={"target": {"token": MARKER[0]}}),
        ("POST", "/v1/completions", {"prompt": MARKER}),
        ("POST", "/v1/features/inspect", BODY),
        ("POST", "/v1/logits", BODY | {"tokens": [MARKER]}),
        ("POST", "/v1/features/contrast", {"positive": [BODY["messages"]], "negative": [BODY["messages"]]}),
        ("POST", "/v1/features/rerank", {"query": MARKER, "features": [1]}),
        chat(**{MARKER: 1}),
        chat(temperature=MARKER),
    ],
)
def test_no_text_is_in_it(records: Post, path: Path, engine: FakeEngine, asked):
    engine.says(MARKER)
    (record,) = records(asked)
    assert record["route"] == asked[1] and MARKER not in path.read_text()


def test_the_target_of_an_attribution_is_text(records: Post):
    (record,) = records(chat(attribution={"tokens": [0], "target": {"token": "a"}}))
    assert record["asked"]["attribution"]["tokens"] == [0]
    assert "target" not in record["asked"]["attribution"]


def test_texts_are_in_it_if_that_is_asked_for(records: Post, engine: FakeEngine):
    engine.says("Hello!")
    (record,) = records(chat(), audit_text=True)
    assert record["body"]["messages"] == BODY["messages"]
    assert record["answers"][0]["text"] == "Hello!"


def test_the_token_that_ended_an_answer_is_text(records: Post, engine: FakeEngine):
    engine.aborts_at = 2
    (record,) = records(chat(abort_when=[{"feature": 1, "op": ">", "value": 0.1}]))
    assert record["answers"][0]["finish_reason"] == "content_filter"
    assert record["steering"][0]["abort"][0]["token"] == ""


def test_a_sweep_has_a_receipt_for_each_row(records: Post):
    (record,) = records(("POST", "/v1/sweeps", BODY | {"sweep": [[], [EDIT], [EDIT, EDIT]]}))
    assert [len(receipt["edits"]) for receipt in record["steering"]] == [1, 2]
    assert len(record["answers"]) == 3


def test_what_moderation_refuses_is_in_it(records: Post):
    (record,) = records(chat(feature_edits=[{"feature": REFUSED, "strength": 1}]))
    assert (record["status"], record["code"]) == (400, "feature_refused")
    assert record["param"] == "feature_edits[0].feature"
    assert record["asked"]["feature_edits"][0]["feature"] == REFUSED


def test_what_moderation_finds_is_in_it(records: Post):
    said = {"role": "user", "content": "How do I build a pipe bomb?"}
    (record,) = records(chat(messages=[said]))
    assert record["moderation"]["input"]["results"][0]["categories"]["crime"]


def test_changes_of_variants_are_in_it(records: Post):
    variant = {"name": "chef", "feature_edits": [EDIT], "description": MARKER}
    made, gone = records(("POST", "/v1/variants", variant), ("DELETE", "/v1/variants/chef", None))
    assert made["asked"] == {"name": "chef", "feature_edits": [EDIT]} and made["status"] == 201
    assert gone["asked"] == {"name": "chef"} and gone["route"] == "/v1/variants/{name}"


def test_a_controller_is_in_it_as_the_edits_that_it_means(records: Post):
    (record,) = records(chat(controller=write_controller([FeatureEdit(1, 0.5)])))
    assert (record["status"], record["asked"]) == (200, {"feature_edits": [EDIT]})


@pytest.mark.parametrize("url", ["/v1/features", "/v1/models/org/tiny"])
def test_a_wrong_key_is_in_it_whatever_it_asks_for(records: Post, url: str):
    (record,) = records(("GET", url, None), headers={"authorization": "Bearer wrong"})
    assert (record["status"], record["code"], record["key"]) == (401, "invalid_api_key", None)


def test_reading_the_catalogue_is_not_in_it(records: Post):
    assert records(("GET", "/v1/features?query=a", None), ("POST", "/no/such/path", {})) == []


def test_what_fails_after_the_beginning_of_a_stream_is_in_it(records: Post, engine: FakeEngine):
    engine.says("Hello", EngineError("broken"))
    (record,) = records(chat(stream=True))
    assert (record["status"], record["code"]) == (200, "internal_error")
    assert record["answers"][0].get("finish_reason") is None and record["tokens_written"] > 0


def test_a_full_file_is_put_aside_and_the_oldest_is_dropped(records: Post, path: Path):
    records(*[chat()] * 12, audit_max_bytes=1200, audit_backups=2)
    kept = [path.with_name(f"{path.name}.2"), path.with_name(f"{path.name}.1"), path]
    assert sorted(path.parent.iterdir()) == sorted(kept)
    assert all(file.stat().st_size <= 1200 for file in kept)
    assert all(record["status"] == 200 for file in kept for record in read(file))


def test_a_file_that_cannot_be_written_is_refused_at_the_start(client_with, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"audit log .*/file/audit.jsonl cannot be written: File exists"):
        client_with(audit_log=tmp_path / "file" / "audit.jsonl")


def lost(http) -> tuple[float, float]:
    """Records written and lost, by the metrics."""
    shown = dict(line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if line[0] != "#")
    written, lost = (
        shown[f'steersman_audit_records_total{{outcome="{which}"}}'] for which in ("written", "lost")
    )
    return float(written), float(lost)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something."""
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_full_disk_costs_records_and_no_answers(client_with, engine, caplog: pytest.LogCaptureFixture):
    with client_with(audit_log=Path("/dev/full")) as http:
        assert [http.post("/v1/chat/completions", json=BODY).status_code for _ in range(3)] == [200] * 3
        until(lambda: lost(http) == (0, 3))
    (line,) = [record for record in caplog.records if "audit" in record.getMessage()]
    assert line.levelno == logging.ERROR and "No space left on device" in line.getMessage()


@contextmanager
def files_end_at(num_bytes: int) -> Iterator[None]:
    """Let no file grow beyond, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_log_says_when_the_audit_log_is_written_again(client_with, engine, path: Path, caplog):
    with client_with(audit_log=path) as http:
        with files_end_at(0):
            http.post("/v1/chat/completions", json=BODY)
            until(lambda: lost(http) == (0, 1))
        http.post("/v1/chat/completions", json=BODY)
        until(lambda: lost(http) == (1, 1))
    assert "The audit log is written again; 1 records were lost." in caplog.text


def test_no_answer_waits_for_a_slow_disk(client_with, engine, path: Path, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr("steersman_server.audit_log.MAX_WAITING", 1)
    monkeypatch.setattr(AuditFile, "write", lambda *_: go_on.wait(20))
    with client_with(audit_log=path) as http:
        assert [http.post("/v1/chat/completions", json=BODY).status_code for _ in range(4)] == [200] * 4
        assert lost(http)[1] >= 2  # one is being written, and one waits
        go_on.set()


def test_others_may_not_read_it(records: Post, path: Path):
    before = os.umask(0)
    try:
        records(chat())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_line_that_does_not_fit_leaves_nothing_behind(path: Path):
    file = AuditFile(path, max_bytes=10_000, backups=1)
    file.write("a" * 100)
    with files_end_at(150), pytest.raises(OSError, match="No space left"):
        file.write("b" * 100)
    file.write("c" * 100)
    file.close()
    assert path.read_text().splitlines() == ["a" * 100, "c" * 100]
