"""kill -9 at every step of the protocol, then a second run on the same ledger."""

import multiprocessing
import signal
from pathlib import Path

import anthropic
import pytest
from tests.training.labelling import job_to_kill
from tests.training.labelling.conftest import questions
from tests.training.labelling.fake_llm_server import FakeLLM

from steersman_training.labelling.ledger import Ledger

COUNT = 4
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.labelling.job_to_kill"])


def run_and_kill(llm: FakeLLM, path: Path, kind: str, call: str, when: str, skip: int = 0) -> None:
    """A job that the server kills when it meets `call`, before it acts or after."""
    job = PROCESSES.Process(target=job_to_kill.work, args=(llm.url, path, kind, COUNT))
    llm.fault(call, *[None] * skip, (f"kill_{when}", lambda: job.pid))
    job.start()
    job.join(120)
    assert job.exitcode == -signal.SIGKILL
    llm.faults.clear()


def finish(kind: str, client: anthropic.Anthropic, ledger: Ledger) -> None:
    """A second run, in which everything must come to be answered."""
    asks = questions(COUNT)
    known = {answer.ask for answer in ledger.answers([ask.id for ask in asks])}
    rest = [ask for ask in asks if ask.id not in known]
    transport = job_to_kill.make_transport(kind, client, ledger)
    assert {answer.ask for answer in transport.run(rest)} == {ask.id for ask in rest}
    assert len(list(ledger.answers([ask.id for ask in asks]))) == COUNT


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["create", "retrieve", "results"])
def test_a_killed_job_of_batches_asks_and_pays_once(
    llm: FakeLLM, client: anthropic.Anthropic, tmp_path: Path, call: str, when: str
) -> None:
    path = tmp_path / "requests.sqlite"
    run_and_kill(llm, path, "batches", call, when)
    with Ledger(path, max_usd=100.0) as ledger:
        finish("batches", client, ledger)
        assert sorted(llm.billed.values()) == [1] * COUNT
        paid = ledger.rows("SELECT count(*), sum(usd) FROM requests WHERE state = 'answered'")[0]
        assert (paid[0], ledger.committed_usd()) == (COUNT, pytest.approx(paid[1]))


@pytest.mark.parametrize(("when", "skip"), [("before", 0), ("after", 0), ("after", 2)])
def test_a_killed_job_of_messages_counts_in_full_what_was_under_way(
    llm: FakeLLM, client: anthropic.Anthropic, tmp_path: Path, when: str, skip: int
) -> None:
    path = tmp_path / "requests.sqlite"
    run_and_kill(llm, path, "messages", "messages", when, skip)
    with Ledger(path, max_usd=100.0) as ledger:
        finish("messages", client, ledger)
        lost = ledger.rows("SELECT count(*), total(reserved_usd) FROM requests WHERE state = 'lost'")[0]
        answered = ledger.rows("SELECT sum(usd) FROM requests WHERE state = 'answered'")[0][0]
        assert 1 <= lost[0] <= 2  # those that two threads had under way
        assert sum(llm.billed.values()) <= COUNT + lost[0]
        assert ledger.committed_usd() == pytest.approx(answered + lost[1])
