"""What will not do is said before the model is loaded: all of it by `--check`."""

import errno
import os
import signal
import socket
from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from tests.soak.tiny import write_tiny

from steersman.cli import main
from steersman_engine.bundle import SAE_FILE
from steersman_engine.engine import EngineError
from steersman_server import listen, ports
from steersman_server.checks import explained
from steersman_server.command import command
from steersman_server.ports import bind
from steersman_server.variants import VariantStore


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, tiny_tokenizer) -> tuple[Path, Path]:
    return write_tiny(tmp_path_factory.mktemp("checks"), tiny_tokenizer)


@pytest.fixture
def check(tiny, tmp_path, capsys):
    """What `steersman serve --check` says with more flags, and its exit code."""

    def run(*flags: str) -> tuple[str, object]:
        model, bundle = tiny
        always = ["--check", "--model", f"{model}", "--bundle", f"{bundle}", "--port", "0"]
        parser = ArgumentParser()
        command.add_arguments(parser)
        try:
            command.run(parser.parse_args([*always, "--data-dir", f"{tmp_path / 'data'}", *flags]))
        except SystemExit as ended:
            return capsys.readouterr().out, ended.code
        return capsys.readouterr().out, 0

    return run


def test_what_will_do_is_told_in_a_line_each(check):
    said, code = check()
    assert code == 0
    lines = [line.split(maxsplit=2) for line in said.splitlines()]
    assert [line[0] for line in lines] == [
        "keys",
        "port",
        "bundle",
        "model",
        "memory",
        "variants",
        "moderation",
        "records",
    ]
    assert {line[1] for line in lines} <= {"ok", "warning"}


def test_all_that_will_not_do_is_told(check, tmp_path):
    (tmp_path / "data").write_text("a file")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said, code = check(
            *("--port", f"{port}", "--model", f"{tmp_path}", "--bundle", "none", "--device", "gpu"),
            *("--moderation-signals", f"{tmp_path}/none"),
        )
    failed = {line.split()[0]: line for line in said.splitlines() if "FAILED" in line}
    assert set(failed) == {"port", "bundle", "model", "memory", "variants"}
    assert f"127.0.0.1:{port}: it is taken" in failed["port"] and "--port" in failed["port"]
    assert code == "5 of these will not do."


@pytest.fixture
def start(tmp_path, capsys, monkeypatch):
    """Starts a server that may load nothing; what it says on stderr, and its exit code."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(listen, "configure_log", lambda _: None)
    monkeypatch.setattr(listen, "_load_app", lambda *_: pytest.fail("It began to load."))

    def run(*flags: str) -> tuple[list[str], object]:
        with pytest.raises(SystemExit) as ended:
            main(["serve", "--port", "0", "--data-dir", f"{tmp_path / 'data'}", *flags])
        return capsys.readouterr().err.splitlines(), ended.value.code

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--port", "{port}", "it is taken"),
        ("--data-dir", "{file}", "(--data-dir)"),
        ("--audit-log", "{file}/audit.jsonl", "(--audit-log)"),
        ("--moderation-signals", "{file}/none.toml", "none.toml"),
        ("--max-strength", "-1", "--max-strength"),
        ("--host", "0.0.0.0", "give API keys"),
    ],
)
def test_what_will_not_do_ends_the_start_with_a_line_before_anything_is_loaded(
    start, tmp_path, flag, value, said
):
    file = tmp_path / "file"
    file.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        lines, code = start(flag, value.format(port=taken.getsockname()[1], file=file))
    assert code == 1 and len(lines) == 1, lines
    assert lines[0].startswith("steersman: ") and said in lines[0]


def test_a_bundle_that_was_altered_is_named(check, tiny, tmp_path):
    _, bundle = tiny
    altered = tmp_path / "bundle"
    altered.mkdir()
    for file in bundle.iterdir():
        (altered / file.name).write_bytes(file.read_bytes() + b" " * (file.name == SAE_FILE))
    said, _ = check("--bundle", str(altered))
    assert "sae.safetensors has SHA-256" in said and "it was altered" in said


def test_a_file_of_signals_that_is_not_there_is_told(check, tmp_path):
    said, _ = check("--moderation-signals", str(tmp_path / "none.toml"))
    assert "moderation FAILED" in said and "none.toml" in said


def test_all_settings_that_cannot_be_meant_are_told(check):
    said, code = check("--max-strength", "-1", "--kv-gib", "much")
    assert ["FAILED" in line for line in said.splitlines()] == [True, True]
    assert "--max-strength" in said and "--kv-gib" in said
    assert code == "2 of these will not do."


def test_no_other_server_is_asked(check):
    said, code = check("--moderation-url", "http://127.0.0.1:9/v1")
    assert "by http://127.0.0.1:9/v1, which is not asked now" in said and code == 0


def test_looking_changes_nothing(check, tmp_path):
    check("--audit-log", f"{tmp_path / 'logs' / 'audit.jsonl'}")
    assert not any(tmp_path.iterdir())


def test_the_variants_that_are_there_are_counted(check, tmp_path):
    VariantStore.open(tmp_path / "data" / "variants.sqlite").close()
    said, _ = check()
    assert f"{tmp_path}/data/variants.sqlite: 0" in said


def test_a_disk_that_is_full_is_told(check, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("steersman_server.checks.tempfile.TemporaryFile", full)
    said, _ = check()
    assert "No space left on device (--data-dir)" in said


def test_a_port_that_is_not_permitted_is_told(monkeypatch):
    def refused(*_):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(ports, "_listen", refused)
    with pytest.raises(
        OSError, match=r"Cannot listen on 127.0.0.1:80: it is not permitted; choose a port from 1024"
    ):
        bind("127.0.0.1", 80)


def test_an_address_of_another_machine_is_told():
    with pytest.raises(
        OSError, match=r"Cannot listen on 192.0.2.1:8000: this machine has no such address \(--host"
    ):
        bind("192.0.2.1", 8000)


def test_all_addresses_of_a_name_get_one_port():
    sockets = bind("localhost", 0)
    try:
        assert len({listening.getsockname()[1] for listening in sockets}) == 1
    finally:
        for listening in sockets:
            listening.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EngineError("an edit does not steer"), "self-test failed: an edit does not steer"),
        (MemoryError(), "not enough memory: lower --kv-gib"),
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
        (SafetensorError("incomplete"), "was not wholly fetched: incomplete"),
    ],
)
def test_what_loading_ends_in_is_said_in_a_line(error, said):
    with pytest.raises(ValueError, match=said), explained():
        raise error


def test_what_nobody_foresaw_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="a bug"), explained():
        raise RuntimeError("a bug")


@pytest.mark.parametrize("name", ["file/audit.jsonl", "folder"])
def test_an_audit_log_that_cannot_be_written_is_told(check, tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    said, code = check("--audit-log", str(tmp_path / name))
    assert "(--audit-log)" in said.splitlines()[-1] and code == "1 of these will not do."
