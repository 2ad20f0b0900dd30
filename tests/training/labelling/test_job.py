"""The whole job on a model whose features are known."""

from pathlib import Path

import duckdb
import numpy as np
import pytest
from tests.training.labelling.planted import DEAD, PLANTED, SIGN, planted_host, planted_job

from steersman_catalog import Catalog
from steersman_training.labelling import results as results_module
from steersman_training.labelling.corpus import SPLITS
from steersman_training.labelling.finish import CATALOGUE, REPORT, SUMMARY, finish
from steersman_training.labelling.results import Results
from steersman_training.labelling.score_part import ScorePart
from steersman_training.labelling.summary import Line, Summary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("label")


@pytest.fixture
def results(folder: Path, tiny_model, tiny_tokenizer, monkeypatch: pytest.MonkeyPatch) -> Results:
    """The first test makes everything, the others read it."""
    monkeypatch.setattr(results_module, "RANDOM_FEATURES", 8)
    return Results(planted_job(folder, planted_host(tiny_model), tiny_tokenizer))


@pytest.fixture
def summary(results: Results, folder: Path) -> Summary:
    return finish(results, folder)


def line(summary: Summary, test: str, of: str) -> Line:
    (found,) = [x for x in summary.lines if (x.test, x.judge, x.of) == (test, "embedding", of)]
    return found


def test_planted_features_get_their_words(results: Results) -> None:
    texts = [label.draft.text for label in results.job.labels[: len(PLANTED)]]
    assert [word in text for word, text in zip(PLANTED, texts, strict=True)] == [True] * len(PLANTED)


def test_a_feature_that_never_fired_says_so(results: Results) -> None:
    assert results.job.labels[DEAD].draft.text == "never fired"


def test_a_feature_on_a_sign_is_named_by_what_it_does_and_where(results: Results) -> None:
    draft = results.job.labels[SIGN].draft
    assert draft.text.startswith("leads to ")
    assert "exclamation mark" in draft.text
    assert results.job.effects[SIGN].kl_raise > 0


def test_labels_score_well_and_shuffled_ones_at_chance(summary: Summary) -> None:
    labels, others = line(summary, "contrastive", "labels"), line(summary, "contrastive", "shuffled labels")
    assert labels.mean > 0.85  # a judge of words cannot tell signs
    assert abs(others.mean - 0.5) < 3 * np.sqrt(0.25 / others.asked) + 0.02


def test_no_document_is_both_explained_from_and_scored_with(results: Results) -> None:
    job = results.job
    shown = {
        excerpt.document
        for number in range(job.evidence_stage.parts)
        for evidence in job.evidence(number)
        for excerpt in (*evidence.examples, *evidence.inactive)
    }
    scored = {
        job.corpus.documents[job.corpus.tile_document[tile]]
        for part in results.score_stage("embedding").read_all(ScorePart)
        for question in part.questions
        for tile in question.tiles
    }
    assert shown and scored
    assert not shown & scored


def test_every_distractor_is_silent(results: Results) -> None:
    job = results.job
    for part in results.score_stage("embedding").read_all(ScorePart):
        for question in part.questions:
            where, _ = job.activations.block(question.feature, question.feature + 1).of(question.feature)
            fires = {int(tile) for tile in job.corpus.tile_of[where]}
            if question.test in ("contrastive", "stringent"):
                assert [tile in fires for tile in question.tiles] == [
                    place == question.answer for place in range(len(question.tiles))
                ]
            elif question.test == "detection":
                assert (question.tiles[0] in fires) == bool(question.answer)


def test_explain_dev_and_test_share_no_conversation(results: Results) -> None:
    corpus = results.job.corpus
    sides = [{d for d, s in zip(corpus.documents, corpus.split, strict=True) if s == n} for n in range(3)]
    assert all(sides)
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert SPLITS == ("explain", "dev", "test")


def test_h_max_is_the_largest_activation_of_a_plain_pass(results: Results) -> None:
    job = results.job
    largest = np.zeros(job.subject.sae.d_sae)
    import torch

    for begin, end in zip(job.corpus.starts, job.corpus.starts[1:], strict=False):
        ids = torch.from_numpy(job.corpus.token[begin:end].astype(np.int64))[None]
        acts = job.subject.sae.encode(job.subject.host.residual(ids)[0].float())
        largest = np.maximum(largest, acts.max(dim=0).values.numpy())
    np.testing.assert_allclose(job.h_max, largest, rtol=1e-4, atol=1e-5)


def test_the_catalogue_finds_a_planted_word(summary: Summary, folder: Path) -> None:
    catalog = Catalog.open(folder / CATALOGUE)
    try:
        assert PLANTED[0] in catalog.feature(0).label
    finally:
        catalog.close()


def test_scores_in_the_catalogue_have_counts_and_intervals(summary: Summary, folder: Path) -> None:
    with duckdb.connect(folder / CATALOGUE, read_only=True) as db:
        rows = db.execute("SELECT value, lo, hi, n, chance FROM scores WHERE test = 'contrastive'").fetchall()
    assert rows
    assert all(lo <= value <= hi and n > 0 and chance == 0.5 for value, lo, hi, n, chance in rows)


def test_parts_of_a_score_add_up_to_it(summary: Summary, folder: Path) -> None:
    with duckdb.connect(folder / CATALOGUE, read_only=True) as db:
        rows = db.execute("""
            SELECT feature, any_value(n) FILTER (tier IS NULL AND stratum IS NULL),
                sum(n) FILTER (tier IS NOT NULL), sum(n) FILTER (stratum IS NOT NULL)
            FROM scores WHERE test = 'contrastive' AND judge = 'embedding'
                AND label IN (SELECT label FROM labels WHERE shown)
            GROUP BY feature""").fetchall()
    assert rows
    assert all(whole == by_tier == by_stratum for _, whole, by_tier, by_stratum in rows)


def test_the_trials_in_the_catalogue_come_to_its_scores(summary: Summary, folder: Path) -> None:
    with duckdb.connect(folder / CATALOGUE, read_only=True) as db:
        scores = db.execute("""
            SELECT feature, test, judge, label, baseline, n, failures, k FROM scores
            WHERE chance IS NOT NULL AND tier IS NULL AND stratum IS NULL""").fetchall()
        trials = db.execute("""
            SELECT feature, test, judge, label, baseline, count(choice), count(failure),
                count(*) FILTER (choice = target)
            FROM trials GROUP BY ALL""").fetchall()
    counted = {tuple(row[:5]): row[5:] for row in trials}
    assert counted.keys() == {tuple(row[:5]) for row in scores}
    assert all(counted[row[:5]][:2] == row[5:7] for row in scores)
    assert all(counted[row[:5]][2] == row[7] for row in scores if row[7] is not None)  # an area has no k


def test_a_trial_s_text_in_the_catalogue_is_what_the_judge_read(
    summary: Summary, results: Results, folder: Path
) -> None:
    with duckdb.connect(folder / CATALOGUE, read_only=True) as db:
        texts = db.execute("SELECT tile, text FROM tile_texts").fetchall()
    assert len(texts) > 100
    assert [text for _, text in texts] == [results.job.passages[tile].text for tile, _ in texts]


def test_the_catalogue_says_which_runs_made_it(summary: Summary, folder: Path) -> None:
    with duckdb.connect(folder / CATALOGUE, read_only=True) as db:
        stages = {stage for (stage,) in db.execute("SELECT stage FROM runs").fetchall()}
        lost = db.execute(
            "SELECT run FROM (FROM labels UNION ALL BY NAME FROM scores) ANTI JOIN runs USING (run)"
            " WHERE run IS NOT NULL"
        ).fetchall()
        untimed = db.execute("SELECT stage FROM runs WHERE seconds IS NULL OR seconds <= 0").fetchall()
        norms = db.execute("SELECT count(*) FROM features WHERE decoder_norm IS NULL").fetchone()
    assert (untimed, norms) == ([], (0,))
    assert {"documents", "collect", "explain", "score-embedding", "outputs"} <= stages
    assert not lost


def test_the_report_needs_no_network(summary: Summary, folder: Path) -> None:
    page = (folder / REPORT).read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "")
    assert PLANTED[0] in page
    assert (folder / SUMMARY).exists()
