"""What the container file and the systemd unit name is there, and fits together."""

import re
import shutil
import subprocess
from argparse import ArgumentParser
from configparser import RawConfigParser
from pathlib import Path

import pytest

from steersman_server.command import command
from steersman_server.config import ServerConfig
from steersman_server.settings import settings_of

ROOT = Path(__file__).parent.parent
CONTAINER = ROOT / "deploy" / "Containerfile"
UNIT = ROOT / "deploy" / "steersman.service"
VARIABLES = {setting.variable for setting in settings_of(ServerConfig)}
LAST_STEPS_S = 20
"""That a server may take beyond its deadline."""


@pytest.fixture(scope="module")
def lines() -> list[list[str]]:
    """The container file's instructions, in words."""
    joined = CONTAINER.read_text().replace("\\\n", " ")
    return [line.split() for line in joined.splitlines() if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def service() -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    parser.read_string(UNIT.read_text())
    return dict(parser["Service"])


def test_every_file_that_goes_into_the_container_is_there_and_not_ignored(lines):
    copied = {line[1] for line in lines if line[0] == "COPY" and not line[1].startswith("--")}
    copied |= {name for line in lines if line[0] == "COPY" and "README.md" in line for name in line[1:-1]}
    ignored = CONTAINER.with_name("Containerfile.dockerignore").read_text().splitlines()
    assert copied and all((ROOT / name).exists() and f"!{name}" in ignored for name in copied)


def test_the_container_runs_as_nobody_in_particular_and_hears_sigterm(lines):
    last = {line[0]: line[1:] for line in lines}
    assert last["USER"] == ["10001"] and last["STOPSIGNAL"] == ["SIGTERM"]
    assert last["CMD"] == ['["serve"]'] and last["ENTRYPOINT"] == ['["steersman"]']


def test_the_variables_of_container_and_unit_are_settings(lines, service):
    text = CONTAINER.read_text() + service["Environment"]
    named = set(re.findall(r"STEERSMAN_[A-Z_]+", text))
    assert named and named <= VARIABLES


def test_the_unit_s_command_line_is_understood_and_it_waits_longer_than_the_server(service):
    parser = ArgumentParser()
    command.add_arguments(parser)
    _, verb, *flags = service["ExecStart"].split()
    args = parser.parse_args(flags)
    assert verb == "serve"
    assert int(service["TimeoutStopSec"]) >= float(args.graceful_shutdown_s) + LAST_STEPS_S


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit():
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert not [line for line in complaints if UNIT.name in line], done.stderr
