"""A configuration from a recipe and what a person wants otherwise: a TOML file, `--set` and flags."""

import ast
import inspect
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict, fields

from steersman_training.recipes import RECIPES
from steersman_training.train_config import ARCHITECTURES, TrainConfig

EXTRA = ("recipe", "architecture", "expansion")
"""Keys that are no fields: where to start, which architecture, and d_sae as a multiple of d_model."""
WIDTH = frozenset({"d_sae", "expansion"})


def read_toml(path: Path) -> dict[str, Any]:
    """The settings in a file, as flat as `--set` takes them.

    Raises:
        ValueError: It is no TOML, or has tables.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}.") from error
    for key, value in found.items():
        if isinstance(value, dict):
            raise ValueError(f"{path} has a table [{key}]: write its settings without one, `k = 32`.")
    return found


def read_settings(given: Iterable[str]) -> dict[str, Any]:
    """What `--set` gives: `NAME=VALUE`, where a value is a TOML value or a bare word.

    Raises:
        ValueError: There is no `=`.
    """
    found = {}
    for setting in given:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"--set {setting!r} has no value: write NAME=VALUE, as in --set lr=1e-4.")
        found[name.strip().replace("-", "_")] = parsed(value.strip())
    return found


def parsed(value: str) -> Any:
    """A TOML value, or the text itself."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def overridden(settings: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with those of `by` in their place; a width in either form takes the place of both."""
    gone = WIDTH if WIDTH & by.keys() else frozenset[str]()
    return {name: value for name, value in settings.items() if name not in gone} | dict(by)


def configured(settings: Mapping[str, Any], *, d_model: int) -> TrainConfig:
    """The recipe that `settings` name, with all else they say.

    Raises:
        ValueError: There is no such recipe or setting, or a value cannot be.
    """
    rest = dict(settings)
    config = RECIPES[_known(rest.pop("recipe", "smollm2_135m_cpu"), RECIPES, "recipe")]()
    if "architecture" in rest:
        config = config.with_architecture(_known(rest.pop("architecture"), ARCHITECTURES, "architecture"))
    if "expansion" in rest:
        if "d_sae" in rest:
            raise ValueError("d_sae and expansion say the same: give one of them.")
        rest["d_sae"] = round(float(rest.pop("expansion")) * d_model)
    run, own = asdict(config), asdict(config.architecture)
    for name, value in rest.items():
        _known(name, [*run, *own, *EXTRA], f"setting of {config.architecture.name}")
        (own if name in own else run)[name] = value
    run["architecture"] = {"kind": config.architecture.name, **own}
    try:
        return msgspec.convert(run, TrainConfig)
    except msgspec.ValidationError as error:
        raise ValueError(
            f"{str(error).removesuffix('`').replace(' - at `$.', ' (').rstrip('.')}{_close(error)}"
        ) from error


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """All settings but the architecture's name, as flat as `configured` takes them."""
    return {**asdict(config.architecture), **{k: v for k, v in asdict(config).items() if k != "architecture"}}


def as_toml(config: TrainConfig) -> str:
    """All settings of a configuration, each with what it means: what `read_toml` reads."""
    lines = [f'architecture = "{config.architecture.name}"  # {summary(type(config.architecture))}']
    for struct in (config.architecture, config):
        docs = field_docs(type(struct))
        for field in fields(struct):
            if field.name == "architecture":
                continue
            value = getattr(struct, field.name)
            text = "# " + field.name if value is None else f"{field.name} = {as_value(value)}"
            doc = docs.get(field.name)
            lines.append(f"{text}  # {doc}" if doc else text)
    return "\n".join(lines)


def summary(thing: Any) -> str:
    """The first sentence of a docstring."""
    return (inspect.getdoc(thing) or "").partition("\n")[0].rstrip(".")


def field_docs(kind: type) -> dict[str, str]:
    """What stands beneath each field of a struct and of those it extends, in its source."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if not each.__module__.startswith("steersman_training"):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, doc in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(doc, ast.Expr)
                and isinstance(doc.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(doc.value.value).split())
    return found


def _known(name: Any, names: Iterable[str], what: str) -> str:
    names = list(names)
    if name in names:
        return name
    near = get_close_matches(str(name).replace("-", "_"), names, n=2, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else f" There are: {', '.join(sorted(names))}."
    raise ValueError(f"There is no {what} {name!r}.{hint}")


def as_value(value: Any) -> str:
    """A setting's value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(as_value, value)) + "]"
    return repr(value)


def _close(error: Exception) -> str:
    return ")." if " - at `$." in str(error) else "."
