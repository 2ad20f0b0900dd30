"""Requests made up from OpenAI's own description: whatever it allows is carried out, or refused by name."""

import re
from functools import cache
from typing import Any

import jsonschema_rs
import msgspec
import pytest
import schemathesis
from schemathesis.generation import GenerationMode

from .made_up import ANSWERS, CASES, make_up
from .openai_description import PATHS, fields_of, openai_description

OPENAI = openai_description()
REQUESTS = {"/chat/completions": "CreateChatCompletionRequest", "/completions": "CreateCompletionRequest"}
LEAST = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Hi"}]},
    "/completions": {"prompt": "Hi"},
}
NEEDS: dict[str, Any] = {"top_logprobs": {"logprobs": True}, "stream_options": {"stream": True}}
ANSWER = {
    "/chat/completions": ("CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
    "/completions": ("CreateCompletionResponse", "CreateCompletionResponse"),
    "/models": ("ListModelsResponse", None),
    "/models/{model}": ("Model", None),
}


def reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


FIELDS = [
    (path, name, schema)
    for path, request in REQUESTS.items()
    for name, schema in sorted(fields_of(OPENAI, reference(request)).items())
]


@pytest.fixture(scope="module")
def described(lasting_http) -> dict[str, set[int]]:
    """The statuses that our description has for each of OpenAI's paths."""
    paths = lasting_http.get("/schema/openapi.json").json()["paths"]
    return {path: set(map(int, paths[f"/v1{path}"][method]["responses"])) for path, method in PATHS.items()}


@cache
def validator(name: str) -> Any:
    return jsonschema_rs.validator_for(reference(name) | {"components": OPENAI["components"]})


def check_answer(path: str, answer: Any, described: set[int]) -> None:
    """An answer has a status of ours and OpenAI's form."""
    ANSWERS["OpenAI's description", answer.status_code] += 1
    assert answer.status_code in described, answer.text
    whole, event = ANSWER[path]
    if answer.status_code != 200:
        validator("ErrorResponse").validate(answer.json())
    elif answer.headers["content-type"][0].startswith("text/event-stream"):
        *frames, done, rest = answer.text.split("\n\n")
        assert (done, rest) == ("data: [DONE]", "")
        for frame in frames:
            validator(event).validate(msgspec.json.decode(frame.removeprefix("data: ")))
    else:
        validator(whole).validate(answer.json())


def operation_of(path: str, field: str, schema: Any) -> Any:
    """An operation whose body holds this field and no other."""
    body = {
        "type": "object",
        "properties": {field: schema},
        "required": [field],
        "additionalProperties": False,
    }
    content = {"application/json": {"schema": body}}
    answers = {"200": {"description": ""}}
    operation = {"requestBody": {"required": True, "content": content}, "responses": answers}
    document = OPENAI | {"paths": {path: {"post": operation}}}
    (found,) = schemathesis.openapi.from_dict(document).get_all_operations()
    return found.ok()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.timeout(60 + 10 * CASES)
@pytest.mark.parametrize(
    ("path", "field", "schema"), FIELDS, ids=[f"{path} {field}" for path, field, _ in FIELDS]
)
def test_what_openai_allows_is_carried_out_or_refused_by_name(
    lasting_url, engine, described, path, field, schema
):
    def check(case):
        engine.reset()
        case.body = LEAST[path] | NEEDS.get(field, {}) | case.body
        answer = case.call(base_url=f"{lasting_url}/v1")
        check_answer(path, answer, described[path])
        if answer.status_code != 200:
            error = answer.json()["error"]
            assert error["code"] == "model_not_found" or re.split(r"[.\[]", error["param"])[0] == field, error

    make_up(operation_of(path, field, schema), GenerationMode.POSITIVE, check)


@pytest.mark.timeout(60 + 60 * CASES)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_whole_requests_are_answered_as_described(lasting_url, engine, described, mode, subtests):
    for found in schemathesis.openapi.from_dict(OPENAI).get_all_operations():
        operation = found.ok()  # pyright: ignore[reportAttributeAccessIssue]

        def check(case, path=operation.path):
            engine.reset()
            check_answer(path, case.call(base_url=f"{lasting_url}/v1"), described[path] | {404, 405})

        with subtests.test(operation.label):
            make_up(operation, mode, check)


@pytest.mark.parametrize(
    ("path", "field", "schema"), FIELDS, ids=[f"{path} {field}" for path, field, _ in FIELDS]
)
def test_null_is_the_same_as_absent(http, path, field, schema):
    if field in LEAST[path]:
        return
    assert http.post(f"/v1{path}", json=LEAST[path] | {field: None}).status_code == 200
