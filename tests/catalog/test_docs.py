"""The queries and the code of docs/catalogue.md work."""

import re
from pathlib import Path

import duckdb
import pytest

TEXT = (Path(__file__).parents[2] / "docs/catalogue.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL))
def test_a_documented_query_runs(path: Path, query: str) -> None:
    with duckdb.connect(path, read_only=True) as db:
        db.execute(query).fetchall()


def test_the_documented_code_runs(path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    code = code.replace('"catalog.duckdb"', repr(str(path))).replace('"cooking"', '"chicken"')
    code = code.replace('space="label"', 'space="decoder"')  # this one has no embeddings
    exec(code, {})
