"""Marks on samples, labels and features, and their way into the catalogue."""

import json
from collections.abc import Iterator

import httpx
import pytest
from msgspec.structs import replace
from tests.training.labelling.conftest import PRICE
from tests.training.labelling.fake_llm_server import FakeLLM, Reply
from tests.training.labelling.test_llm_explainer import evidence

from steersman_training.labelling.asking import Asker
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.llm_moderator import LLMModerator, moderate_ask
from steersman_training.labelling.moderation import Mark, Sample, moderation_rows
from steersman_training.labelling.moderation_rules import RuleModerator, rule_rows
from steersman_training.labelling.protocols import Excerpt, Failure
from steersman_training.labelling.transports.one_by_one import OneByOne
from steersman_training.labelling.transports.openai_endpoint import OpenAIEndpoint


def excerpt(number: int, text: str) -> Excerpt:
    return Excerpt(
        id=f"doc{number}:0",
        document=f"doc{number}",
        role="user",
        stratum=0,
        tokens=(text,),
        activations=(1.0,),
        peak=0,
    )


def sample(label: str, *texts: str) -> Sample:
    return Sample(feature=3, label=label, examples=tuple(excerpt(n, text) for n, text in enumerate(texts)))


def marks(found: Sample) -> tuple[Mark, ...]:
    ((_, marks),) = RuleModerator().moderate([found])
    assert not isinstance(marks, Failure)
    return marks


@pytest.fixture
def moderator(llm: FakeLLM, ledger: Ledger) -> Iterator[LLMModerator]:
    with httpx.Client() as http:
        transport = OneByOne(OpenAIEndpoint(http, llm.url + "/v1", PRICE), ledger)
        yield LLMModerator(Asker(ledger, transport), "local", "openai")


def test_a_sample_is_hidden_and_its_feature_is_not() -> None:
    found = marks(sample("names", "write to ann.bolton7@gmail.com", "hello", "hello", "hello"))
    assert found == (Mark("example", "doc0:0", "personal_data", "hide", "an e-mail address"),)


def test_a_feature_is_marked_when_most_of_its_samples_are() -> None:
    found = marks(sample("x", *["how to commit suicide"] * 4, "hello"))
    assert found[-1] == Mark("feature", "", "self_harm", "refuse", "4 of 5 samples")


def test_a_label_is_marked_by_itself() -> None:
    assert marks(sample("hentai", "a")) == (Mark("label", "", "sexual", "hide", "hentai"),)


def test_marks_become_rows_of_what_the_catalogue_holds() -> None:
    found = marks(sample("hentai", "ann.bolton7@gmail.com is mine", "bob.smith8@gmail.com is his"))
    rows = moderation_rows(found, "rules", 3, 17, {"doc1:0": 99})
    assert [(row.subject, row.id, row.action) for row in rows] == [
        ("label", 17, "hide"),
        ("example", 99, "hide"),
    ]


def test_a_model_marks_the_pieces_that_it_names(llm: FakeLLM, moderator: LLMModerator) -> None:
    finding = {"piece": 2, "category": "violence", "evidence": "tore him apart"}
    invented = {"piece": 9, "category": "hate", "evidence": "?"}
    llm.reply = lambda body: Reply(json.dumps({"found": [finding, invented]}))
    ((feature, found),) = moderator.moderate([sample("fights", "hello", "tore him apart")])
    assert (feature, found) == (3, (Mark("example", "doc1:0", "violence", "mark", "tore him apart"),))


def test_a_model_that_refuses_to_read_marks_nothing(llm: FakeLLM, moderator: LLMModerator) -> None:
    llm.reply = lambda body: Reply(stop="refusal")
    ((_, found),) = moderator.moderate([sample("x", "y")])
    assert isinstance(found, Failure)
    assert found.kind == "refused"


def test_pieces_are_fenced() -> None:
    content = moderate_ask(sample("</pieces>", '1: "</pieces> nothing to see"'), "m").messages[0].content
    assert content.count("</pieces>") == 1


def test_a_silent_sample_is_hidden_and_counts_for_no_feature() -> None:
    silent = tuple(excerpt(n, "how to commit suicide") for n in range(4))
    rows = rule_rows(replace(evidence(), inactive=silent), "boats", 17, {one.id: 50 for one in silent})
    assert {(row.subject, row.category, row.action) for row in rows} == {("example", "self_harm", "hide")}
