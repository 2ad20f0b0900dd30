"""Requests made up from the API's own description: no 500, and no answer that it does not describe.

By default a few cases each, always the same; `STEERSMAN_SCHEMA_CASES=100` makes a hundred of each
operation and mode.
"""

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CASES = int(os.environ.get("STEERSMAN_SCHEMA_CASES", "2"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
NOTHING_TO_SAY = ("Unsatisfiable", "InvalidSchema")
"""What the tool raises where it finds nothing to send: nothing wrong can be said to some operations."""
UNHURRIED = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=CASES < 10,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.timeout(60 * CASES)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_what_is_made_up_is_answered_as_described(lasting_url, engine, mode, subtests):
    schema = schemathesis.openapi.from_url(f"{lasting_url}/schema/openapi.json")
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # pyright: ignore[reportAttributeAccessIssue]

        @UNHURRIED
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            engine.reset()
            case.call_and_validate(checks=CHECKS)

        with subtests.test(operation.label):
            try:
                check()
            except Exception as error:
                if type(error).__name__ not in NOTHING_TO_SAY:
                    raise
