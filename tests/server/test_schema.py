"""Requests made up from the API's own description: no 500, and no answer that it does not describe."""

import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .made_up import ANSWERS, CASES, make_up

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.mark.timeout(300 + 60 * CASES)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_what_is_made_up_is_answered_as_described(lasting_url, engine, mode, subtests):
    def check(case):
        engine.reset()
        answer = case.call_and_validate(checks=CHECKS)
        ANSWERS["our description", answer.status_code] += 1

    schema = schemathesis.openapi.from_url(f"{lasting_url}/schema/openapi.json")
    for found in schema.get_all_operations():
        operation = found.ok()  # pyright: ignore[reportAttributeAccessIssue]
        with subtests.test(operation.label):
            make_up(operation, mode, check)
