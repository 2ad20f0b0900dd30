"""Settings out of four places: flags, then the environment, then a TOML file, then defaults; the first wins.

A setting is a field of a frozen `msgspec.Struct`, annotated with `says`. One whose type is a table, or a list
of tables, stands in the file only.
"""

import difflib
import tomllib
from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Meta, Struct, inspect

PREFIX = "STEERSMAN_"
T = TypeVar("T", bound=Struct)


def says(group: str, text: str, *, unset: str | None = None) -> Meta:
    """What a setting is for, under a heading; `unset`: what None stands for, in the table of settings."""
    return Meta(description=text, extra={"group": group, "unset": unset})


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of a configuration."""

    name: str
    group: str
    text: str
    type: Any
    default: Any
    unset: str | None
    kind: inspect.Type

    @property
    def flag(self) -> str:
        """On the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """In the environment."""
        return PREFIX + self.name.upper()

    @property
    def is_list(self) -> bool:
        """Whether it may be given several times."""
        return isinstance(self.kind, inspect.VarTupleType)

    @property
    def in_file_only(self) -> bool:
        """Whether it is a table, or a list of tables."""
        item = self.kind.item_type if isinstance(self.kind, inspect.VarTupleType) else self.kind
        return isinstance(item, inspect.StructType | inspect.DictType)

    @property
    def shown_default(self) -> str:
        """What it is when it is left out."""
        if self.unset is not None and self.default is None:
            return self.unset
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return "none" if self.default in (None, ()) or self.in_file_only else f"{self.default}"

    def read(self, value: Any, where: str, *, strict: bool) -> Any:
        """The value that was given at some place; with `strict`, a text is no number.

        Raises:
            ValueError: It is not of this setting's type, or out of range.
        """
        try:
            return msgspec.convert(value, self.type, strict=strict, dec_hook=lambda kind, raw: kind(raw))
        except msgspec.ValidationError as error:
            raise ValueError(f"{where} is {value!r}: {error}.") from error


def settings_of(kind: type[Struct]) -> list[Setting]:
    """The fields of a configuration, in order."""
    return list(_settings(kind))


def _settings(kind: type[Struct]) -> Iterator[Setting]:
    for field in msgspec.structs.fields(kind):
        described = inspect.type_info(field.type)
        assert isinstance(described, inspect.Metadata), f"{field.name} is not annotated with `says`"
        assert described.extra is not None and described.extra_json_schema is not None
        yield Setting(
            name=field.name,
            group=described.extra["group"],
            text=described.extra_json_schema["description"],
            type=field.type,
            default=field.default,
            unset=described.extra["unset"],
            kind=described.type,
        )


def add_flags(parser: ArgumentParser, kind: type[Struct]) -> None:
    """A flag for every setting; one that is not given is None in the arguments."""
    groups: dict[str, Any] = {}
    for setting in settings_of(kind):
        if setting.in_file_only:
            continue
        if setting.group not in groups:
            groups[setting.group] = parser.add_argument_group(setting.group)
        more: dict[str, Any] = {"metavar": setting.name.rpartition("_")[2].upper()}
        if isinstance(setting.kind, inspect.BoolType):
            more = {"action": BooleanOptionalAction}
        elif isinstance(setting.kind, inspect.LiteralType):
            more = {"choices": setting.kind.values}
        elif setting.is_list:
            more |= {"action": "append"}
        text = f"{setting.text} (default: {setting.shown_default})".replace("%", "%%")
        groups[setting.group].add_argument(setting.flag, dest=setting.name, default=None, help=text, **more)


def read_settings(
    kind: type[T],
    *,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Path | None,
    defaults: Mapping[str, Any],
) -> dict[str, Any]:
    """The value of every setting that is given somewhere, or has a default beyond its own.

    Raises:
        ValueError: Keys are unknown, or values are not of their setting's type; each has a line.
        OSError: The file cannot be read.
    """
    known = {setting.name: setting for setting in settings_of(kind)}
    wrong: list[str] = []
    given = dict(defaults) | (_from_file(file, known, wrong) if file is not None else {})
    for setting in known.values():
        if setting.in_file_only:
            continue
        if text := environment.get(setting.variable):
            raw = [part.strip() for part in text.split(",")] if setting.is_list else text
            _take(given, setting, raw, setting.variable, wrong, strict=False)
        if (value := flags.get(setting.name)) is not None:
            _take(given, setting, value, setting.flag, wrong, strict=False)
    if wrong:
        raise ValueError("\n".join(wrong))
    return given


def _take(
    given: dict[str, Any], setting: Setting, raw: Any, where: str, wrong: list[str], *, strict: bool
) -> None:
    """Add a value to those given, or what is wrong with it to what is wrong."""
    try:
        given[setting.name] = setting.read(raw, where, strict=strict)
    except ValueError as error:
        wrong.append(str(error))


def _from_file(path: Path, known: Mapping[str, Setting], wrong: list[str]) -> dict[str, Any]:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is no TOML: {error}.") from error
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            wrong.append(f"{path}: there is no setting '{name}'.{meant}")
            continue
        _take(values, known[name], value, f"{path}: {name}", wrong, strict=True)
    return values


def check_variables(environment: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse a variable that looks like a misspelt one of those known; others' variables are not looked at.

    Raises:
        ValueError: There is one.
    """
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            rest = name.removeprefix(PREFIX)
            near = difflib.get_close_matches(rest, [k.removeprefix(PREFIX) for k in known], n=1, cutoff=0.8)
            if near:
                raise ValueError(f"There is no setting {name}. Did you mean {PREFIX}{near[0]}?")


def table(kind: type[Struct]) -> str:
    """The settings as tables in Markdown, one for each group."""
    lines: list[str] = []
    group = None
    every = settings_of(kind)
    groups = list(dict.fromkeys(setting.group for setting in every))
    for setting in sorted(every, key=lambda setting: groups.index(setting.group)):
        if setting.group != group:
            group = setting.group
            lines += ["", f"### {group}", "", "| setting | default | what it is |", "|---|---|---|"]
        lines.append(f"| `{setting.name}` | {setting.shown_default} | {setting.text} |")
    return "\n".join(lines).strip()
