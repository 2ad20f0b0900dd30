"""Every object survives JSON, is frozen, and can be pickled and shown."""

import inspect
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.sdk.strategies import values_of

from steersman import types

STRUCTS = [
    each
    for each in vars(types).values()
    if inspect.isclass(each) and issubclass(each, msgspec.Struct) and each is not types.Condition
]
FEW = settings(
    max_examples=10,
    deadline=None,
    phases=[Phase.generate],  # to make a failing one smaller takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_an_object_survives_json_and_pickling(kind: type[msgspec.Struct]) -> None:
    @FEW
    @given(values_of(kind))
    def check(value: Any) -> None:
        made = msgspec.convert(value, kind)
        text = msgspec.json.encode(made)
        again = msgspec.json.decode(text, type=kind)
        assert msgspec.json.encode(again) == text  # features are equal by index alone: so compare the texts
        assert again == made
        assert pickle.loads(pickle.dumps(made)) == made
        assert isinstance(repr(made), str)

    check()


@pytest.mark.parametrize("kind", STRUCTS, ids=lambda kind: kind.__name__)
def test_an_object_is_frozen(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


SHOWN = [each for each in STRUCTS if hasattr(each, "_repr_html_")]
EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_whatever_a_notebook_shows_is_escaped(kind: type[msgspec.Struct]) -> None:
    @FEW
    @given(st.data())
    def check(data: st.DataObject) -> None:
        made: Any = msgspec.convert(_poisoned(data.draw(values_of(kind))), kind)
        assert "<script" not in made._repr_html_()

    check()


def _poisoned(value: Any) -> Any:
    """The same with every text that is free to be anything made hostile."""
    if isinstance(value, dict):
        free = {"label", "token", "content", "flags", "bundle", "at"}
        return {
            name: _hostile(each) if name in free else _aligned(name, _poisoned(each), value)
            for name, each in value.items()
        }
    return [_poisoned(each) for each in value] if isinstance(value, list) else value


def _hostile(value: Any) -> Any:
    return [EVIL for _ in value] if isinstance(value, list) else EVIL if isinstance(value, str) else value


def _aligned(name: str, value: Any, whole: dict[str, Any]) -> Any:
    """An example has one activation a token."""
    return [EVIL] * len(whole["activations"]) if name == "tokens" and "activations" in whole else value
