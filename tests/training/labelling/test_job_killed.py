"""Killed at any write of any step, a job ends as one that was not."""

import os
import signal
import traceback
from pathlib import Path

import pytest
from tests.training.labelling.planted import planted_host, planted_job

from steersman_training.labelling import results as results_module
from steersman_training.labelling import stage as stage_module
from steersman_training.labelling.results import Results
from steersman_training.labelling.stage import STAGE_FILE

STEPS = ["documents", "collect", "measure", "words", "evidence", "effects", "explain", "tiles"]
"""In the order in which they are made."""
LATER = ["refine", "score-embedding", "score-lexical", "score-rule", "relations", "outputs"]

pytestmark = pytest.mark.skipif("STEERSMAN_SLOW" not in os.environ, reason="slow: set STEERSMAN_SLOW=1")


def everything(job) -> None:
    results = Results(job)
    _ = results.scores, results.relations, job.outputs


def parts(folder: Path) -> dict[str, bytes]:
    return {
        f"{path.parent.parent.name}/{path.name}": path.read_bytes()
        for path in folder.glob("*/*/part-?????")
        if path.name != STAGE_FILE
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


def test_killed_at_every_step_it_ends_the_same(
    whole: Path, tmp_path: Path, tiny_model, tiny_tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "RANDOM_FEATURES", 8)
    host = planted_host(tiny_model)
    everything(planted_job(whole, host, tiny_tokenizer))
    job = planted_job(tmp_path, host, tiny_tokenizer)
    write = stage_module.write_whole
    for step in (*STEPS, *LATER):
        child = os.fork()
        if child == 0:

            def killing(path: Path, content: bytes, step: str = step) -> None:
                if path.name.startswith("part-") and path.parent.parent.name == step:
                    path.with_name(f"{path.name}.0.tmp").write_bytes(content[: len(content) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                write(path, content)

            stage_module.write_whole = killing
            try:
                everything(job)
            except BaseException:
                traceback.print_exc()
            os._exit(1)  # it was not killed, or failed
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"{step} wrote nothing."
    everything(planted_job(tmp_path, host, tiny_tokenizer))
    assert parts(tmp_path) == parts(whole)
    assert {name.split("/")[0] for name in parts(whole)} >= {*STEPS, *LATER}
