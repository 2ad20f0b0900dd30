"""A new catalogue for a server that runs. That the signal does it under load, `tests/soak` shows."""

import gc
import json
import shutil
import weakref
from pathlib import Path

import pytest
from litestar.testing import TestClient
from tests.server.conftest import H_MAX, make_catalog

from steersman_catalog.rows import LabelRow
from steersman_catalog.writer import CatalogWriter
from steersman_engine.bundle import CATALOG_FILE, FORMAT, MANIFEST, SAE_FILE, Bundle, sha256_of
from steersman_engine.serving import Loaded
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.renewal import Renewal, let_go
from steersman_server.served import ServedModel

CHAT = {"messages": [{"role": "user", "content": "Hi"}], "feature_edits": [{"feature": 0, "strength": 1}]}


def seal(folder: Path) -> None:
    """Write a manifest that fits the files, as `steersman bundle` does."""
    facts = dict.fromkeys(("model", "model_fingerprint", "chat_template_sha256", "licence", "created"), "")
    facts |= {"format": FORMAT, "name": "tiny", "layer": 1, "site": "resid_post", "sink_norm": 1e9}
    facts |= {"d_in": 32, "d_sae": len(H_MAX), "training": {}, "metrics": {}}
    hashes = {"sae_sha256": SAE_FILE, "catalog_sha256": CATALOG_FILE}
    (folder / MANIFEST).write_text(json.dumps(facts | {k: sha256_of(folder / v) for k, v in hashes.items()}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_catalog(tmp_path / CATALOG_FILE, H_MAX).close()
    (tmp_path / SAE_FILE).write_bytes(b"an SAE")
    seal(tmp_path)
    return tmp_path


@pytest.fixture
def renewal(folder: Path, engine, tiny_tokenizer):
    """A server that may be told to read its catalogue anew, and a client of it."""
    bundle = Bundle(folder)
    loaded = Loaded(
        name="org/tiny",
        tokenizer=tiny_tokenizer,
        engine=engine,
        catalog=bundle.catalog(),
        bundle=bundle.id,
        folder=folder,
        sae_sha256=bundle.manifest.sae_sha256,
        layer=1,
        d_sae=len(H_MAX),
    )
    app, renewal = create_app(ServedModel.of(loaded), ServerConfig()), Renewal()
    renewal.begin(loaded, app)
    with TestClient(app, base_url="http://127.0.0.1") as http:
        yield renewal, http


def relabel(folder: Path) -> None:
    path = folder / CATALOG_FILE
    with CatalogWriter.copy(path) as writer:
        writer.db.execute(f"UPDATE {LabelRow.table} SET text = 'new ' || text")
        writer.publish(folder / "new.duckdb")
    shutil.move(folder / "new.duckdb", path)


def test_the_next_request_sees_the_new_catalogue(renewal, folder):
    told, http = renewal
    before = http.post("/v1/chat/completions", json=CHAT).json()
    relabel(folder)
    seal(folder)
    told.renew()
    after = http.post("/v1/chat/completions", json=CHAT).json()
    labels = [answer["steering"]["edits"][0]["label"] for answer in (before, after)]
    assert labels == ["label 0", "new label 0"]
    assert http.get("/v1/features/0").json()["label"] == "new label 0"
    assert after["steering"]["bundle"] == Bundle(folder).id != before["steering"]["bundle"]
    assert after["system_fingerprint"] != before["system_fingerprint"]
    assert Bundle(folder).id in (metrics := http.get("/metrics").text)
    assert before["steering"]["bundle"] not in metrics


@pytest.mark.parametrize(
    ("file", "why"), [(CATALOG_FILE, "it was altered"), (SAE_FILE, "holds another SAE now")]
)
def test_what_does_not_fit_is_not_served(renewal, folder, file, why, caplog):
    told, http = renewal
    if file == CATALOG_FILE:
        relabel(folder)
    else:
        (folder / SAE_FILE).write_bytes(b"another SAE")
        seal(folder)
    told.renew()
    assert http.get("/v1/features/0").json()["label"] == "label 0"
    assert why in caplog.text


def test_a_catalogue_that_only_errors_refer_to_is_let_go(folder, monkeypatch):
    monkeypatch.setattr("steersman_server.renewal.WAITS_S", (0, 0))
    catalog = Bundle(folder).catalog()
    error = ValueError(catalog)
    error.__context__ = RuntimeError(error)  # a ring
    old = weakref.ref(catalog)
    del catalog, error
    gc.disable()
    try:
        let_go(old)
    finally:
        gc.enable()
    assert old() is None
