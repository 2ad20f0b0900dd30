"""Models, features, health, and what every answer carries."""

import pytest


def test_openais_client_lists_and_finds_the_model(openai):
    assert [model.id for model in openai.models.list()] == ["org/tiny"]
    assert openai.models.retrieve("org/tiny").model_extra["layer"] == 1


def test_a_model_says_what_it_is_and_how_much_it_reads(http):
    assert http.get("/v1/models/org/tiny").json() == {
        "id": "org/tiny",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "steersman",
        "bundle": "tiny@12345678",
        "layer": 1,
        "d_sae": 5,
        "max_model_len": 300,
        "root": "org/tiny",
    }


def test_an_unknown_model_is_not_found(http):
    answer = http.get("/v1/models/org/other")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_health_names_what_is_served(http):
    answer = http.get("/health").json()
    assert (answer["status"], answer["model"], answer["bundle"]) == ("ok", "org/tiny", "tiny@12345678")


def test_pages_of_features_lead_through_all_of_them(http):
    seen, after = [], {}
    while True:
        page = http.get("/v1/features", params={"limit": 2} | after).json()
        seen += [feature["index"] for feature in page["data"]]
        assert (page["first_id"], page["last_id"]) == (str(seen[-len(page["data"])]), str(seen[-1]))
        if not page["has_more"]:
            break
        after = {"after": page["last_id"]}
    assert seen == [0, 1, 2, 3]


def test_a_search_finds_features_by_their_label(http):
    page = http.get("/v1/features", params={"query": "word3"}).json()
    assert [feature["index"] for feature in page["data"]] == [3]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("kind=mixed", [0, 1, 2, 3]),
        ("kind=topic", []),
        ("flag=special_tokens", [3]),
        ("without_flag=special_tokens", [0, 1, 2]),
    ],
)
def test_a_list_is_narrowed_by_what_labels_and_flags_say(http, query, found):
    assert [feature["index"] for feature in http.get(f"/v1/features?{query}").json()["data"]] == found


def test_a_page_may_be_empty(http):
    page = http.get("/v1/features", params={"query": "nothing like it"}).json()
    assert (page["data"], page["first_id"], page["last_id"], page["has_more"]) == ([], None, None, False)


def test_one_feature_can_be_read(http):
    assert http.get("/v1/features/3").json()["h_max"] == 8.0


@pytest.mark.parametrize("path", ["/v1/features/5", "/v1/features/-1", "/v1/features?after=7"])
def test_an_unknown_feature_is_not_found(http, path):
    answer = http.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "feature_not_found")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("after=x", "after"),
        ("mode=semantic", "mode"),
        ("query=", None),
        ("kind=thing", "kind"),
        ("flag=bad", "flag"),
    ],
)
def test_a_bad_query_is_refused(http, query, param):
    answer = http.get(f"/v1/features?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text


PATHS = [
    ("GET", "/health", 200),
    ("GET", "/v1/features/99", 404),
    ("GET", "/nowhere", 404),
    ("GET", "/v1/features/x", 404),
    ("GET", "/v1/chat/completions", 405),
    ("DELETE", "/v1/models", 405),
    ("POST", "/v1/chat/completions", 400),
]


@pytest.mark.parametrize(("method", "path", "status"), PATHS)
def test_every_answer_carries_a_request_id_and_its_time(http, method, path, status):
    answer = http.request(method, path)
    assert answer.status_code == status
    assert len(answer.headers["x-request-id"]) > 10
    assert int(answer.headers["openai-processing-ms"]) >= 0


@pytest.mark.parametrize(("method", "path", "status"), [path for path in PATHS if path[2] != 200])
def test_every_error_has_openais_form(http, method, path, status):
    answer = http.request(method, path)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}


def test_a_request_keeps_its_own_id(http):
    answer = http.get("/nowhere", headers={"x-request-id": "mine-1.2_3"})
    assert answer.headers["x-request-id"] == "mine-1.2_3"


@pytest.mark.parametrize("given", ["a b", "x" * 129, "", "<script>"])
def test_a_strange_request_id_is_replaced(http, given):
    assert http.get("/health", headers={"x-request-id": given}).headers["x-request-id"].startswith("req_")


def test_a_method_that_is_not_allowed_is_told_which_are(http):
    assert "POST" in http.get("/v1/chat/completions").headers["allow"]


def test_the_openapi_document_describes_requests_and_answers(http):
    document = http.get("/schema/openapi.json").json()
    chat = document["paths"]["/v1/chat/completions"]["post"]
    body = chat["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    answer = chat["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    error = chat["responses"]["400"]["content"]["application/json"]["schema"]["$ref"]
    names = [reference.rpartition("/")[2] for reference in (body, answer, error)]
    assert names == ["ChatRequest", "ChatCompletion", "ErrorEnvelope"]
    assert "feature_edits" in document["components"]["schemas"]["ChatRequest"]["properties"]
