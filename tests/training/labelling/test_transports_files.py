"""Questions out as a file, answers in from one."""

import json
from pathlib import Path
from typing import Any

import anthropic
import pytest
from tests.training.labelling.conftest import MODEL, question, questions
from tests.training.labelling.fake_llm_server import FakeLLM

from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.transports.files import Export, ExportedError, Form, import_answers


def export(ledger: Ledger, path: Path, form: Form = "anthropic", count: int = 3) -> list[dict[str, Any]]:
    with pytest.raises(ExportedError, match=f"{count} requests"):
        list(Export(path, form, ledger).run(questions(count)))
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def texts(ledger: Ledger, count: int = 3) -> list[str | None]:
    return [answer.text for answer in ledger.answers([ask.id for ask in questions(count)])]


def test_anthropics_batch_service_answers_an_exported_file(
    llm: FakeLLM, client: anthropic.Anthropic, ledger: Ledger, tmp_path: Path
) -> None:
    requests = export(ledger, tmp_path / "requests.jsonl")
    batch = client.messages.batches.create(requests=requests)  # pyright: ignore[reportArgumentType]
    llm.batches[batch.id]["polls"] = 0
    lines = [result.to_json(indent=None) for result in client.messages.batches.results(batch.id)]
    report = import_answers(write(tmp_path / "answers.jsonl", *lines), ledger)
    assert (report.recorded, report.missing) == (3, [])
    assert texts(ledger) == ['{"choice": "A"}'] * 3


def test_openais_batch_form_makes_the_round_trip(llm: FakeLLM, ledger: Ledger, tmp_path: Path) -> None:
    requests = export(ledger, tmp_path / "requests.jsonl", "openai")
    assert {request["url"] for request in requests} == {"/v1/chat/completions"}
    lines = [
        {
            "custom_id": request["custom_id"],
            "response": {"status_code": 200, "body": llm.completion(request["body"])},
            "error": None,
        }
        for request in requests
    ]
    assert import_answers(write(tmp_path / "a.jsonl", *lines), ledger).recorded == 3
    assert texts(ledger) == ['{"choice": "A"}'] * 3


def test_plain_answers_are_read_and_reading_them_twice_changes_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    requests = export(ledger, tmp_path / "requests.jsonl")
    lines = [{"custom_id": request["custom_id"], "text": "{}"} for request in requests]
    path = write(tmp_path / "a.jsonl", *lines)
    assert import_answers(path, ledger).recorded == 3
    again = import_answers(path, ledger)
    assert (again.recorded, len(again.known)) == (0, 3)


def test_what_a_file_lacks_doubles_or_makes_up_is_reported(ledger: Ledger, tmp_path: Path) -> None:
    export(ledger, tmp_path / "requests.jsonl")
    first, second, third = (question(number).id for number in range(3))
    lines = [
        {"custom_id": first, "text": "1"},
        {"custom_id": first, "text": "2"},
        {"custom_id": "f" * 32, "text": "3"},
        {"custom_id": second, "result": {"type": "expired"}},
        "no JSON",
        {"text": "whose?"},
        {"custom_id": third, "result": {"type": "succeeded", "message": {"content": 7}}},
    ]
    report = import_answers(write(tmp_path / "a.jsonl", *lines), ledger)
    assert (report.recorded, report.known, report.unknown) == (1, [first], ["f" * 32])
    assert report.unanswered.keys() == {second}
    assert report.unreadable.keys() == {5, 6, 7}
    assert report.missing == sorted([second, third])
    assert texts(ledger) == ["1"]


def test_what_is_missing_is_exported_again(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    export(ledger, path)
    import_answers(write(tmp_path / "a.jsonl", {"custom_id": question(0).id, "text": "{}"}), ledger)
    rest = [ask for ask in questions(3) if ask.id != question(0).id]
    with pytest.raises(ExportedError, match="2 requests"):
        list(Export(path, "anthropic", ledger).run(rest))
    assert {json.loads(line)["custom_id"] for line in path.read_text().splitlines()} == {a.id for a in rest}


def test_an_exported_request_names_its_model_and_costs_nothing(ledger: Ledger, tmp_path: Path) -> None:
    (request, *_) = export(ledger, tmp_path / "requests.jsonl")
    assert request["params"]["model"] == MODEL
    assert ledger.committed_usd() == 0


def test_answers_read_in_by_another_process_are_there(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with Ledger(path, 0.0) as ledger:
        export(ledger, tmp_path / "requests.jsonl")
    with Ledger(path, 0.0) as ledger:
        import_answers(write(tmp_path / "a.jsonl", {"custom_id": question(1).id, "text": "{}"}), ledger)
        assert texts(ledger) == ["{}"]
