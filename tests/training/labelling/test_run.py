"""`steersman label` with a language model behind it: its price is known first, and nothing is asked twice."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from msgspec.structs import replace
from tests.training.labelling.fake_llm_server import FakeLLM, Reply
from tests.training.labelling.planted import (
    SINK_NORM,
    bag_of_words,
    chats,
    config,
    corpus_of,
    planted_host,
    planted_sae,
)

from steersman_training.labelling import results as results_module
from steersman_training.labelling import run as run_module
from steersman_training.labelling.config import LabelConfig
from steersman_training.labelling.finish import CATALOGUE
from steersman_training.labelling.subject import Subject

ANSWERS: dict[str, dict[str, Any]] = {
    "label": {
        "rationale": "All of them.",
        "label": "rare words of the farm",
        "kind": "topic",
        "confidence": "high",
        "search_words": ["farm"],
    },
    "choice": {"choice": "A"},
    "found": {"found": [{"piece": 0, "category": "violence", "evidence": "farm"}]},
}


def answer(body: dict[str, Any]) -> Reply:
    """What fits the schema that was asked for."""
    asked = body["response_format"]["json_schema"]["schema"]["properties"]
    return Reply(json.dumps(next(said for key, said in ANSWERS.items() if key in asked)))


@pytest.fixture
def asked_of(
    llm: FakeLLM, tmp_path: Path, tiny_model, tiny_tokenizer, monkeypatch: pytest.MonkeyPatch
) -> LabelConfig:
    """A job on planted features, read from a file of chats, in which `llm` explains, judges, moderates."""
    source = tmp_path / "chats.jsonl"
    source.write_text("".join(json.dumps({"id": c.id, "messages": c.messages}) + "\n" for c in chats()))
    host = planted_host(tiny_model)
    sae = planted_sae(host, tiny_tokenizer, corpus_of(tiny_tokenizer))
    subject = Subject(host, tiny_tokenizer, sae, "planted", SINK_NORM)
    monkeypatch.setattr(run_module.Subject, "open", lambda config: subject)
    monkeypatch.setattr(run_module, "pull_embedder", lambda cache: cache)
    monkeypatch.setattr(run_module.MiniLM, "load", lambda folder: run_module.MiniLM)
    monkeypatch.setattr(run_module.MiniLM, "embed", bag_of_words)
    monkeypatch.setattr(results_module, "RANDOM_FEATURES", 8)
    llm.reply = answer
    return replace(
        config(),
        source=str(source),
        max_length=220,
        features=4,
        explainer="openai",
        judges=("embedding", "openai"),
        moderator="openai",
        llm={"base_url": f"{llm.url}/v1", "explain_model": "local", "judge_model": "local"},
    )


def test_what_may_cost_more_than_allowed_is_refused_before_anything_is_asked(
    asked_of: LabelConfig, llm: FakeLLM, tmp_path: Path
) -> None:
    priced = asked_of.llm | {"explain_model": "claude-haiku-5-5"}
    for refused in (run_module.plan, run_module.run):
        with pytest.raises(ValueError, match=r"may cost up to \$.*--max-usd allows \$0\.00"):
            refused(tmp_path / "job", replace(asked_of, llm=priced))
    assert not llm.bodies


def test_a_plan_counts_the_requests_of_every_stage(
    asked_of: LabelConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_module.plan(tmp_path / "job", asked_of)
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    counts = {line[0]: line[1] for line in told if line and line[0] in ("explain", "score", "moderate")}
    assert counts.keys() == {"explain", "score", "moderate"}
    assert counts["moderate"] == "4"


def test_a_job_run_twice_asks_everything_once(asked_of: LabelConfig, llm: FakeLLM, tmp_path: Path) -> None:
    job = tmp_path / "job"
    run_module.run(job, asked_of)
    asked = len(llm.bodies)
    assert asked
    assert set(llm.billed.values()) == {1}
    run_module.run(job, asked_of)
    assert len(llm.bodies) == asked
    with duckdb.connect(job / CATALOGUE, read_only=True) as db:
        said = db.execute(
            "SELECT DISTINCT text, model FROM labels WHERE explainer = 'openai' AND shown"
        ).fetchall()
        marks = db.execute("SELECT count(*) FROM moderation WHERE source = 'openai'").fetchall()
        judged = db.execute("SELECT DISTINCT test FROM scores WHERE judge = 'openai' AND n > 0").fetchall()
        requests = db.execute("SELECT count(*) FROM requests WHERE status = 'answered'").fetchall()
    assert {row[0] for row in said} == {"rare words of the farm"}
    assert marks == [(4,)]
    assert {test for (test,) in judged} == {"contrastive", "stringent"}
    assert requests == [(asked,)]
