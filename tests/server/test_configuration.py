"""Where settings come from, and which are refused."""

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from steersman_engine.local_engine import EngineConfig
from steersman_server import listen
from steersman_server.command import command, read_config
from steersman_server.config import ServerConfig
from steersman_server.listen import Server
from steersman_server.renewal import Renewal
from steersman_server.settings import settings_of, table

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
FENCES = [
    fence
    for name in ("configuration.md", "moderation.md")
    for fence in re.findall(r"```toml\n(.*?)```", DOCS.with_name(name).read_text("utf-8"), re.DOTALL)
]


@pytest.fixture
def read(tmp_path):
    """Reads a command line, variables and a file."""

    def read(*argv: str, toml: str = "", **environment: str) -> ServerConfig:
        file = tmp_path / "server.toml"
        file.write_text(toml)
        parser = ArgumentParser()
        command.add_arguments(parser)
        return read_config(vars(parser.parse_args(["--config", str(file), *argv])), environment)

    return read


def test_what_is_left_out_has_its_default(read):
    assert read().port == ServerConfig().port


def test_the_file_goes_before_the_default(read):
    assert read(toml="port = 1").port == 1


def test_a_variable_goes_before_the_file(read):
    assert read(toml="port = 1", STEERSMAN_PORT="2").port == 2


def test_a_flag_goes_before_a_variable(read):
    assert read("--port", "3", toml="port = 1", STEERSMAN_PORT="2").port == 3


def test_an_empty_variable_counts_as_left_out(read):
    assert read(toml="port = 1", STEERSMAN_PORT="").port == 1


def test_a_variable_names_the_file(tmp_path):
    (tmp_path / "server.toml").write_text("port = 4")
    assert read_config({}, {"STEERSMAN_CONFIG": str(tmp_path / "server.toml")}).port == 4


def test_a_list_is_separated_by_commas_or_given_several_times(read):
    assert read(STEERSMAN_ALLOW_HOST="a, b").allow_host == ("a", "b")
    assert read("--allow-host", "a", "--allow-host", "b").allow_host == ("a", "b")


def test_keys_come_from_all_places_together(read, tmp_path):
    (tmp_path / "keys").write_text("first alice\n")
    toml = f'api_key_file = "{tmp_path}/keys"\nkeys = [{{name = "bob", sha256 = "{"0" * 64}"}}]'
    assert {key.name for key in read(toml=toml, STEERSMAN_API_KEYS="x carol,").keys} == {
        "alice",
        "bob",
        "carol",
    }


@pytest.mark.parametrize(
    ("toml", "environment", "said"),
    [
        ("max_strenght = 1.0", {}, "no setting 'max_strenght'. Did you mean 'max_strength'"),
        ("", {"STEERSMAN_MAX_STRENGHT": "1"}, "Did you mean STEERSMAN_MAX_STRENGTH"),
        ('port = "8000"', {}, "port is '8000': Expected `int`"),
        ("port = ", {}, "server.toml is no TOML"),
        ("port = 70000", {}, "<= 65535"),
        ("", {"STEERSMAN_MAX_STRENGTH": "much"}, "STEERSMAN_MAX_STRENGTH is 'much'"),
        ('host = "0.0.0.0"', {}, "Others can reach 0.0.0.0: give API keys"),
        ("auth = false", {"STEERSMAN_API_KEYS": "secret"}, "leave one of them out"),
        ("", {"STEERSMAN_API_KEYS": "one alice,two alice"}, "same name: alice"),
        ("", {"STEERSMAN_API_KEYS": "one alice,one bob"}, "same sha256"),
    ],
)
def test_what_cannot_be_meant_is_refused(read, toml, environment, said):
    with pytest.raises(ValueError, match=said):
        read(toml=toml, **environment)


def test_all_that_cannot_be_meant_is_told_at_once(read):
    said = "(?s)no setting 'max_strenght'.*port is 'x'.*--kv-gib is '-1'.*STEERSMAN_PORT is 'y'"
    with pytest.raises(ValueError, match=said):
        read("--kv-gib", "-1", toml='max_strenght = 1.0\nport = "x"', STEERSMAN_PORT="y")


def test_variables_of_others_are_left_alone(read):
    read(STEERSMAN_BASE_URL="http://x", STEERSMAN_API_KEY="k", STEERSMAN_SERVICE_HOST="10.0.0.1")


def test_the_documented_settings_are_those_of_the_code():
    assert table(ServerConfig) in DOCS.read_text(encoding="utf-8")


@pytest.mark.parametrize("fence", FENCES)
def test_the_documented_files_are_taken(read, fence):
    read(toml=fence)


def test_actions_of_moderation_come_from_the_file(read):
    policy = read(toml='[moderation_policy.inputs]\ncrime = "block"').moderation_policy.policy()
    assert (policy.inputs.crime, policy.outputs.crime) == ("block", "flag")


def test_what_is_loaded_is_what_the_settings_name(tmp_path, monkeypatch):
    class Loading(Exception): ...

    asked: dict[str, Any] = {}

    def load(model: str, bundle: str, **more: Any) -> None:
        asked.update(model=model, bundle=bundle, **more)
        raise Loading

    config = ServerConfig(
        model="m", bundle="b", device="cuda:1", dtype="float16", cache_dir=tmp_path, slots=3, port=0
    )
    monkeypatch.setattr(listen, "load", load)
    with pytest.raises(Loading):
        listen._load_app(Server(None, config), Renewal(), config)
    engine = asked.pop("config")
    assert isinstance(engine, EngineConfig) and engine.num_slots == 3
    assert asked == {"model": "m", "bundle": "b", "device": "cuda:1", "dtype": "float16", "cache": tmp_path}


def test_no_default_is_refused_by_its_own_setting():
    for setting in settings_of(ServerConfig):
        assert setting.read(setting.default, setting.name, strict=True) == setting.default
