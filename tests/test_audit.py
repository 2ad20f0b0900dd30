"""What `make check` makes of an audit of the dependencies."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FINE = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([FINE], 0, "No known vulnerability in 1 packages."),
        ([FINE, BAD], 1, "b 2: PYSEC-1, fixed in 3"),
        ([FINE, UNKNOWN], 0, "NOT AUDITED: c"),
        ([UNKNOWN], 0, "NOT AUDITED: the advisory service knows none"),
    ],
)
def test_only_a_known_vulnerability_fails(audit: Any, packages: list[Any], code: int, said: str) -> None:
    found = audit.verdict(json.dumps({"dependencies": packages}), "")
    assert found[0] == code and said in found[1]


def test_a_service_that_cannot_be_reached_is_said_and_does_not_fail(audit: Any) -> None:
    code, said = audit.verdict("", "Traceback ...\nConnectionError: no route")
    assert code == 0 and "NOT AUDITED" in said and "no route" in said
