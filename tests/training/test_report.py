import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from steersman.cli import main
from steersman_training.charts import MOST_POINTS, Axis, line_chart, number, step_chart, thinned


def test_a_chart_is_well_formed_and_escapes_names() -> None:
    drawn = line_chart("Loss <1>", {"a & b": [(0, 1.0), (10, 3.0)]}, x_label="tokens")
    root = ElementTree.fromstring(drawn)
    assert root.attrib["aria-label"] == "Loss <1>"
    assert "a & b" in "".join(root.itertext())


def test_points_lie_where_their_values_say() -> None:
    axis = Axis(0.0, 10.0, 100, 200)
    assert [axis.at(value) for value in (0, 5, 10, 99)] == [100, 150, 200, 200]
    assert Axis(1.0, 100.0, 0, 200, log=True).at(10) == pytest.approx(100)


def test_ticks_are_round_and_within_the_range() -> None:
    assert Axis(0.0, 0.9, 0, 1).ticks() == pytest.approx([0, 0.25, 0.5, 0.75])
    assert Axis(3.0, 300.0, 0, 1, log=True).ticks() == [5, 10, 20, 50, 100, 200]


def test_long_curves_are_thinned_and_keep_their_end() -> None:
    points = thinned([(float(step), 1.0) for step in range(10_001)])
    assert len(points) <= MOST_POINTS + 1 and points[-1] == (10_000.0, 1.0)


def test_a_chart_of_nothing_is_left_out() -> None:
    assert line_chart("L0", {"run": []}, x_label="tokens") == ""
    assert step_chart("Density", {}, x_label="tokens") == ""


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.25, "0.25"), (2e6, "2M"), (15_000, "15k"), (5e-5, "5e-5"), (0.0, "0"), (42.0, "42")],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.fixture
def runs(random_harvest: Path, tmp_path: Path) -> list[Path]:
    out = tmp_path / "sweep"
    argv = ["train", "--harvest", str(random_harvest), "--out", str(out), "--device", "cpu", "--k", "4"]
    argv += [
        "--d-sae",
        "32",
        "--batch-size",
        "100",
        "--num-samples",
        "4000",
        "--sweep",
        "architecture=topk,batch_topk",
    ]
    main(argv)
    return sorted(out.iterdir())


def test_a_sweep_leaves_a_report_of_each_run_and_one_of_all(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["architecture=batch_topk", "architecture=topk"]
    assert [run.name for run in runs] == names
    assert all((run / "report.html").is_file() for run in runs)
    evaluated = {
        "reconstruction": {"all": {"l0": 4.0, "explained_variance": 0.9}, "user": {"l0": 5.0}},
        "next_token": {"all": {"delta_ce": 0.125}},
    }
    (runs[0] / "metrics.json").write_text(json.dumps(evaluated))
    capsys.readouterr()
    main(["report", *map(str, runs), "--out", str(tmp_path)])
    page = Path(capsys.readouterr().out.strip()).read_text()
    assert all(name in page for name in names)
    assert "0.1250" in page and "by role of the token" in page
    assert "http" not in page and "$" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)


def test_a_folder_without_a_finished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path)])
