import sys
from pathlib import Path
from types import ModuleType

import pytest

from steersman_training.loggers import open_logger
from steersman_training.recipes import smollm2_135m_cpu
from steersman_training.run_files import StepMetrics

LINE = StepMetrics(
    step=20,
    samples=2000,
    loss=0.5,
    explained_variance=0.8,
    l0=48.0,
    l0_ema=47.0,
    dead=3,
    lr=1e-3,
    tokens_per_s=9.0,
)


class Recorded:
    """Stands in for a package, and keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def __getattr__(self, name: str):
        def call(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return self

        return call


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch):
    """Puts a stand-in where a module would be imported from."""

    def put(name: str, attribute: str | None = None) -> Recorded:
        recorded, module = Recorded(), ModuleType(name)
        if attribute:
            setattr(module, attribute, recorded.open)
        else:
            module.__getattr__ = recorded.__getattr__  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
        return recorded

    return put


def used(name: str, out: Path) -> None:
    logger = open_logger(name, out, smollm2_135m_cpu())
    logger.log(LINE)
    logger.close()


def test_tensorboard_gets_a_point_for_every_number_that_is_there(package, tmp_path: Path) -> None:
    writer = package("torch.utils.tensorboard", "SummaryWriter")
    used("tensorboard", tmp_path)
    scalars = {args[0]: args[1:] for name, args, _ in writer.calls if name == "add_scalar"}
    assert scalars["explained_variance"] == (0.8, 20)
    assert "threshold" not in scalars and "step" not in scalars
    assert writer.calls[0] == ("open", (str(tmp_path / "tensorboard"),), {})
    assert writer.calls[-1][0] == "close"


def test_wandb_goes_on_with_the_same_run(package, tmp_path: Path) -> None:
    wandb = package("wandb")
    used("wandb", tmp_path / "run")
    used("wandb", tmp_path / "run")
    begun = [kwargs for name, _, kwargs in wandb.calls if name == "init"]
    assert begun[0]["id"] == begun[1]["id"] and begun[0]["resume"] == "allow"
    assert begun[0]["config"]["architecture"]["k"] == 48
    assert [kwargs["step"] for name, _, kwargs in wandb.calls if name == "log"] == [20, 20]


def test_trackio_is_told_the_step(package, tmp_path: Path) -> None:
    trackio = package("trackio")
    used("trackio", tmp_path / "run")
    assert [name for name, _, _ in trackio.calls] == ["init", "log", "finish"]
    assert trackio.calls[1][2] == {"step": 20}


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_logger_that_is_not_installed_names_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=f"pip install {name}"):
        open_logger(name, tmp_path, smollm2_135m_cpu())


def test_an_unknown_logger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="There is no logger 'paper'"):
        open_logger("paper", tmp_path, smollm2_135m_cpu())
