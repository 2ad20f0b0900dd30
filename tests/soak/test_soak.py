"""The soak in short: a tiny model, a few hundred requests, every fault once."""

from tests.soak.report import failures
from tests.soak.run import Setup, soak
from tests.soak.tiny import write_tiny


def test_a_short_soak_shows_nothing_wrong(tmp_path, tiny_tokenizer) -> None:
    model, bundle = write_tiny(tmp_path, tiny_tokenizer)
    served = ["--model", str(model), "--cache-dir", str(tmp_path), "--slots", "4"]
    found = soak(Setup(served, bundle, tmp_path, per_round=40, minutes=0))
    # a minute tells nothing of memory
    wrong = [each for each in failures(found) if not each.startswith("memory")]
    assert not wrong, [*wrong, *found["problems"], *found["rounds"]]
