import json
from pathlib import Path

import pytest
from tests.training.labelling.conftest import questions

from steersman_training.labelling.import_step import import_file
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.transports.files import Export, ExportedError


def test_a_person_is_told_what_became_of_each_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger(tmp_path / "requests.sqlite", 0.0) as ledger, pytest.raises(ExportedError):
        list(Export(tmp_path / "requests.jsonl", "anthropic", ledger).run(questions(2)))
    answer = {"custom_id": questions(2)[0].id, "text": "{}"}
    (tmp_path / "answers.jsonl").write_text(json.dumps(answer) + "\n{\n")
    import_file(tmp_path, tmp_path / "answers.jsonl")
    told = capsys.readouterr().out
    assert "1 answers recorded." in told
    assert "1 cannot be read: line 2" in told
    assert (
        f"1 are still without an answer; `steersman label resume` exports them again: {questions(2)[1].id}"
        in told
    )


def test_a_job_without_a_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").touch()
    with pytest.raises(FileNotFoundError, match=r"requests\.sqlite"):
        import_file(tmp_path, tmp_path / "answers.jsonl")
