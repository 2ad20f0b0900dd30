"""The API's description is true, complete, and shown without another host."""

import re
from pathlib import Path

import jsonschema_rs
import pytest

from steersman_server.documents.examples import ANSWERS, EXAMPLES
from steersman_server.error_codes import CODES, table
from steersman_server.requests.fields import ECOSYSTEM

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def document(lasting_http):
    return lasting_http.get("/schema/openapi.json").json()


def test_it_is_an_openapi_description(document):
    assert document["openapi"].startswith("3.1")


def test_every_path_is_described(document, served):
    from steersman_server.app import create_app
    from steersman_server.config import ServerConfig

    routes = {route.path_format for route in create_app(served, ServerConfig()).routes}
    shown = set(document["paths"])
    hidden = {"/", "/docs", "/schema", "/schema/openapi.json", "/schema/{path}", "/web", "/web/{file_path}"}
    aliases = {f"/v1{path}" for path in shown} | {path.removeprefix("/v1") for path in shown}
    assert {path for path in routes - shown - aliases if not path.startswith("/web")} <= hidden


def test_every_example_fits_its_schema_and_is_answered(document, http):
    sent = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            body = operation.get("requestBody")
            if body is None:
                continue
            content = body["content"]["application/json"]
            whole = content["schema"] | {"components": document["components"]}
            assert jsonschema_rs.validator_for(whole).is_valid(content["example"]), path
            sent.add(content["schema"]["$ref"].rpartition("/")[2])
            if method == "post":
                answer = http.post(path, json=content["example"])
                assert answer.status_code < 300, (path, answer.text)
    assert sent == set(EXAMPLES)


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_every_answer_has_an_example_that_fits_its_schema(document):
    shown = set()
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            for kind, content in answer.get("content", {}).items():
                if kind == "application/json":
                    whole = content["schema"] | {"components": document["components"]}
                    jsonschema_rs.validator_for(whole).validate(content["example"])
                    shown |= {name} if status.startswith("2") else set()
    assert shown == set(ANSWERS)


def test_every_answer_is_described_with_the_headers_it_carries(document):
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            assert {"x-request-id", "openai-processing-ms"} <= answer["headers"].keys()
            assert ("retry-after" in answer["headers"]) == (status in ("429", "503"))


def test_the_description_of_an_error_says_which_codes_it_may_have(document):
    answers = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert "`engine_busy`: Too many requests wait" in answers["429"]["description"]


def test_every_operation_and_parameter_is_explained(document):
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for name, operation in operations(document):
        assert operation["description"] and operation["summary"] and operation["tags"], name
        assert all(parameter.get("description") for parameter in operation.get("parameters", ())), name


def test_bounds_closed_objects_and_descriptions_are_there(document):
    chat = document["components"]["schemas"]["ChatRequest"]
    assert chat["additionalProperties"] is False
    assert chat["properties"]["temperature"]["anyOf"][0]["maximum"] == 2
    assert "likeliest" in chat["properties"]["temperature"]["description"]
    assert chat["required"] == ["messages"]


def test_a_stream_is_described_beside_the_whole_answer(document):
    content = document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    assert content.keys() == {"application/json", "text/event-stream"}


@pytest.mark.parametrize("path", ["/schema", "/docs"])
def test_the_page_needs_no_other_host(http, path):
    page = http.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "ChatRequest" in page.text
    assert "`" not in page.text.partition('id="types"')[0]
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)


def test_the_documented_errors_are_those_of_the_code():
    assert table() in (DOCS / "errors.md").read_text(encoding="utf-8")


def test_every_code_of_the_sources_is_in_the_table():
    source = Path(__file__).parents[2] / "server" / "steersman_server"
    text = "\n".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    used = set(re.findall(r'code="(\w+)"', text)) | set(re.findall(r'_made\(\s*"(\w+)"', text))
    assert used <= set(CODES)


def test_the_documented_extras_are_those_of_the_code():
    documented = (DOCS / "api.md").read_text(encoding="utf-8")
    assert [name for name in ECOSYSTEM if f"`{name}`" not in documented] == []
