"""Named edits: kept, used as models, carried elsewhere."""

import os
import signal
import subprocess
import sys

import pytest

from steersman_server.variants import VariantStore

EDITS = [{"feature": 1, "strength": 0.5}, {"feature": 3, "strength": -1.0, "mode": "add"}]
WHEN = {"feature": 3, "op": ">", "value": 0.25}
NESTED = {"any": [{"all": [WHEN, {"not": {"feature": 1, "op": "<=", "other": 3}}]}, WHEN | {"unit": "raw"}]}
PIRATE = {"name": "pirate", "feature_edits": EDITS, "abort_when": [WHEN], "description": "Arr."}
HELLO = [{"role": "user", "content": "Hi"}]


def create(http, **fields):
    answer = http.post("/v1/variants", json=PIRATE | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


def test_a_variant_is_used_as_a_model(http, engine):
    made = create(http)
    assert made["id"] == "org/tiny:pirate"
    answer = http.post("/v1/chat/completions", json={"model": made["id"], "messages": HELLO}).json()
    assert answer["model"] == "org/tiny:pirate"
    assert [edit["feature"] for edit in answer["steering"]["edits"]] == [1, 3]
    assert [(edit.mul, edit.add) for edit in engine.generated[0].edits] == [(0.0, 2.0), (1.0, -8.0)]
    assert engine.generated[0].abort_when[0].right == 2.0


def test_a_condition_comes_back_as_it_was_given(http):
    create(http, feature_edits=[EDITS[0] | {"when": NESTED}], abort_when=[{"not": NESTED}])
    found = http.get("/v1/variants/pirate").json()
    assert (found["feature_edits"][0]["when"], found["abort_when"]) == (NESTED, [{"not": NESTED}])


def test_a_request_s_own_edits_come_after_the_variant_s(http, engine):
    create(http)
    body = {"model": "org/tiny:pirate", "messages": HELLO, "feature_edits": [{"feature": 1, "strength": -1}]}
    http.post("/v1/chat/completions", json=body)
    assert [edit.feature for edit in engine.generated[0].edits] == [1, 3, 1]


def test_models_list_variants(http, openai):
    create(http)
    assert [model.id for model in openai.models.list()] == ["org/tiny", "org/tiny:pirate"]
    assert openai.models.retrieve("org/tiny:pirate").model_extra["parent"] == "org/tiny"


def test_a_variant_can_be_read_replaced_and_deleted(http):
    made = create(http)
    assert http.get("/v1/variants/pirate").json() == made
    changed = http.put("/v1/variants/pirate", json={"feature_edits": EDITS[:1]}).json()
    assert (changed["feature_edits"], changed["created"]) == (EDITS[:1], made["created"])
    assert http.delete("/v1/variants/pirate").json() == {
        "id": "org/tiny:pirate",
        "object": "variant",
        "deleted": True,
    }
    assert code(http.get("/v1/variants/pirate")) == (404, "variant_not_found")
    unknown = http.post("/v1/chat/completions", json={"model": "org/tiny:pirate", "messages": HELLO})
    assert code(unknown) == (404, "model_not_found")


def test_what_was_exported_can_be_imported(http):
    create(http)
    exported = http.get("/v1/variants").json()
    assert code(http.post("/v1/variants/import", json=exported)) == (409, "variant_exists")
    http.delete("/v1/variants/pirate")
    assert http.post("/v1/variants/import", json=exported).json() == exported
    assert http.post("/v1/variants/import", json=exported | {"overwrite": True}).status_code == 200


def test_an_import_is_taken_whole_or_not_at_all(http):
    create(http)
    (one,) = http.get("/v1/variants").json()["data"]
    new = one | {"name": "new", "id": "org/tiny:new"}
    assert code(http.post("/v1/variants/import", json={"data": [new, one]})) == (409, "variant_exists")
    assert [variant["name"] for variant in http.get("/v1/variants").json()["data"]] == ["pirate"]


def test_a_variant_of_another_bundle_is_not_imported(http):
    create(http)
    exported = http.get("/v1/variants").json()
    exported["data"][0]["bundle"] = "other@1"
    assert code(http.post("/v1/variants/import", json=exported)) == (400, "invalid_value")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": None}, (400, "missing_required_parameter")),
        ({"name": "a b"}, (400, "invalid_value")),
        ({"name": "../x"}, (400, "invalid_value")),
        ({"feature_edits": [], "abort_when": []}, (400, "empty_array")),
        ({"feature_edits": [{"feature": 99, "strength": 1}]}, (404, "feature_not_found")),
        ({"feature_edits": [{"feature": 1, "strength": 9}]}, (400, "decimal_above_max_value")),
    ],
    ids=str,
)
def test_a_variant_that_could_not_be_used_is_refused(http, fields, expected):
    assert code(http.post("/v1/variants", json=PIRATE | fields)) == expected


def test_a_name_is_taken_once(http):
    create(http)
    assert code(http.post("/v1/variants", json=PIRATE)) == (409, "variant_exists")


def test_variants_outlive_the_server(client_with, tmp_path):
    with client_with(data_dir=tmp_path / "deep") as first:
        made = create(first)
    with client_with(data_dir=tmp_path / "deep") as second:
        assert second.get("/v1/variants").json()["data"] == [made]


def test_variants_outlive_a_kill(tmp_path):
    path = tmp_path / "variants.sqlite"
    code = f"""
import os, signal
from pathlib import Path
from steersman.types import Variant
from steersman_server.variants import VariantStore
store = VariantStore.open(Path({str(path)!r}))
store.add([Variant(object="variant", id="m:a", name="a", base="m", bundle="b", description="",
                   feature_edits=(), abort_when=(), created=0, updated=0)], overwrite=False)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    store = VariantStore.open(path)
    assert [variant.name for variant in store.all()] == ["a"]
    store.close()


def test_a_file_that_is_something_else_is_refused(tmp_path):
    path = tmp_path / "variants.sqlite"
    path.write_text("not a database, whatever its name says" * 100)
    with pytest.raises(ValueError, match="cannot be opened"):
        VariantStore.open(path)


def test_what_the_disk_has_no_room_for_is_refused_and_the_rest_goes_on(
    client_with, tmp_path, monkeypatch, caplog
):
    store = VariantStore.open(tmp_path / "variants.sqlite")
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")  # SQLite reports a full disk in the same way
    monkeypatch.setattr(VariantStore, "open", lambda path: store)
    with client_with() as http:
        made = create(http)
        for name in ("a", "b"):
            large = PIRATE | {"name": name, "description": "x" * 2000, "feature_edits": EDITS * 32}
            answer = http.post("/v1/variants", json=large)
            assert code(answer) == (507, "storage_failed") and answer.headers["x-should-retry"] == "false"
        assert http.get("/v1/variants").json()["data"] == [made]
        store._db.execute("PRAGMA max_page_count = 1000")
        create(http, name="a")
    assert "The file of variants cannot be written: database or disk is full" in caplog.text
