"""Bundles and catalogues from strangers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz.cases import CASES, damaged, fuzz

from steersman_catalog import Catalog, snapshot
from steersman_catalog.rows import FeatureRow
from steersman_catalog.writer import CatalogWriter, write_catalog
from steersman_engine.bundle import CATALOG_FILE, MANIFEST, SAE_FILE, Bundle, BundleError, sha256_of
from steersman_engine.sae import SAE

FACTS: dict[str, Any] = {
    "format": 1, "name": "tiny", "model": "tiny", "model_fingerprint": "f", "chat_template_sha256": "t",
    "layer": 1, "site": "resid_post", "d_in": 4, "d_sae": 4, "sae_sha256": "0", "catalog_sha256": "0",
    "sink_norm": 1.0, "training": {}, "metrics": {}, "licence": "", "created": "",
}  # fmt: skip
LABEL = (
    "INSERT INTO labels VALUES (0, 0, 'x', 'mixed', 'human', NULL, NULL, NULL, [], NULL, NULL, now(), true)"
)
MANIFESTS = (
    damaged(json.dumps(FACTS).encode())
    | st.binary(max_size=40)
    | st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b""])
)


@fuzz
@given(MANIFESTS)
def test_any_manifest_is_refused_by_name(tmp_path_factory: Any, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=str(folder)):
        Bundle(folder)


@pytest.mark.parametrize("wrong", [{"layer": -1}, {"sink_norm": 0}, {"sink_norm": 10**400}])
def test_a_number_that_cannot_be_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(FACTS | wrong))
    with pytest.raises(BundleError, match=next(iter(wrong))):
        Bundle(tmp_path)


def test_a_manifest_that_names_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text(json.dumps(FACTS | {"sae_file": "../../etc/passwd"}))
    with pytest.raises(BundleError, match="sae_file"):
        Bundle(tmp_path)


def test_a_manifest_of_any_size_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / MANIFEST).open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BundleError, match="at most"):
        Bundle(tmp_path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rows = [
        FeatureRow(feature=i, h_max=1.0, density=0.1, mean_activation=0.5, num_documents=1) for i in (0, 1)
    ]
    write_catalog(tmp_path / "catalog.duckdb", {"model": "tiny"}, rows)
    return tmp_path / "catalog.duckdb"


def hostile(path: Path, *statements: str) -> None:
    with duckdb.connect(path) as db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize("read", [Catalog.open, CatalogWriter.copy, CatalogWriter.open])
@pytest.mark.parametrize("table", ["meta", "features", "labels"])
def test_a_view_in_place_of_a_table_is_not_asked(tmp_path: Path, path: Path, read: Any, table: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("2")
    reading = f"SELECT 'schema_version' AS key, content AS value FROM read_text('{secret}')"
    hostile(path, f"DROP TABLE {table} CASCADE", f"CREATE VIEW {table} AS {reading}")
    with pytest.raises(ValueError, match=r"has no table|no table `meta`"):
        read(path)


def test_a_macro_reaches_no_file(tmp_path: Path, path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    macro = f"CREATE MACRO list_contains(a, b) AS (SELECT content FROM read_text('{tmp_path}/secret.txt'))"
    hostile(path, macro)
    try:
        catalog = Catalog.open(path)
    except ValueError as error:
        assert "disabled" in str(error)  # it was asked, and could not
    else:
        assert catalog.features([0])[0].label == "no label"
        catalog.close()


def test_no_extension_can_be_loaded_nor_the_lock_undone(path: Path) -> None:
    catalog = Catalog.open(path)
    for statement in ("LOAD httpfs", "INSTALL httpfs", "SET enable_external_access = true"):
        with pytest.raises(duckdb.Error, match=r"disabled|locked"):
            catalog._snapshot.rows(statement)
    catalog.close()


TERM = "INSERT INTO terms VALUES ('x', 0, 1)"
EMBEDDING = "INSERT INTO embeddings VALUES (0, [1, 2])"


@pytest.mark.parametrize("what", [name for name, *_ in snapshot.SIZES])
def test_more_than_memory_holds_is_not_read(path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile(path, "UPDATE features SET flags = ['a']", LABEL, TERM, EMBEDDING)
    most = [(name, query, 0 if name == what else most) for name, query, most in snapshot.SIZES]
    monkeypatch.setattr(snapshot, "SIZES", most)
    with pytest.raises(ValueError, match=f"[0-9]+ {what}; at most 0"):
        Catalog.open(path)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO terms VALUES ('x', 2, 1)",
        "INSERT INTO terms VALUES ('x', -1, 1)",
        "INSERT INTO terms VALUES ('x', 1, 'nan')",
        "INSERT INTO labels SELECT 1, 1, * EXCLUDE (label, feature) FROM labels; "
        "INSERT INTO embeddings VALUES (1, [1])",
        "UPDATE labels SET feature = 2",
    ],
)
def test_what_searches_cannot_use_is_refused_when_they_load_it(path: Path, statement: str) -> None:
    hostile(path, LABEL, EMBEDDING, *statement.split("; "))
    catalog = Catalog.open(path)
    with pytest.raises(ValueError, match=f"{path} is damaged"):
        catalog.warm()
    catalog.close()


DAMAGE = """
import random, sys
from pathlib import Path
from steersman_catalog import Catalog, snapshot
whole, path, rng = Path(sys.argv[1]).read_bytes(), Path(sys.argv[1] + ".damaged"), random.Random(0)
for _ in range(int(sys.argv[2])):
    content = bytearray(whole)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(rng.choice([200, 20_000, len(content)]))
        content[at : at + 8] = rng.randbytes(rng.randrange(12))
    path.write_bytes(content[: rng.choice([None, rng.randrange(len(content))])])
    try:
        catalog = Catalog.open(path)
        catalog.warm()
        catalog.close()
    except ValueError as error:
        assert str(path) in str(error), error
"""


def test_a_damaged_catalogue_is_read_or_refused_by_name(path: Path) -> None:
    command = [sys.executable, "-c", DAMAGE, str(path), str(CASES // 2)]  # a process, which a crash would end
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60 + CASES, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_a_bundle_of_another_size_than_it_says_is_refused(tmp_path: Path) -> None:
    sae = SAE.canonical(W_enc=torch.eye(4), b_enc=torch.zeros(4), W_dec=torch.eye(4), b_dec=torch.zeros(4))
    sae.save(tmp_path / SAE_FILE)
    (tmp_path / CATALOG_FILE).write_bytes(b"")
    hashes = {
        "sae_sha256": sha256_of(tmp_path / SAE_FILE),
        "catalog_sha256": sha256_of(tmp_path / CATALOG_FILE),
    }
    (tmp_path / MANIFEST).write_text(json.dumps(FACTS | {"d_sae": 10**9} | hashes))
    with pytest.raises(BundleError, match="4 x 1000000000"):
        Bundle(tmp_path).sae()
