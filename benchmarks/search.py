"""How long a search of a catalogue takes, beside the same search in plain numpy and in DuckDB.

    python benchmarks/search.py --catalog /tmp/search.duckdb    # made at the first call, which takes minutes

The catalogue is synthetic: labels of Zipf-distributed words and random directions, because an exact search
takes as long for any. Times are of whole calls that return 20 features; embedding the query is timed apart.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from facts import Table, write

from steersman_catalog import Catalog, FeatureFilter
from steersman_catalog.rows import (
    ExampleRow,
    FeatureRow,
    LabelRow,
    PassageRow,
    RatingRow,
    Row,
    TokenRow,
    WordRow,
)
from steersman_catalog.vectors import embedding_rows
from steersman_catalog.writer import write_catalog

FEATURES, DIM, VOCABULARY = 65_536, 384, 20_000
LABEL_WORDS, WORDS, EXAMPLES = 4, 16, 4
PASSAGES, LENGTH = 4096, 256
QUERIES, WARM_UP, LIMIT = 200, 20, 20
READERS = 4


class Prepared:
    """Gives query directions that were made beforehand, so that only the search is timed."""

    name, dim = "synthetic", DIM

    def __init__(self, directions: dict[str, np.ndarray]) -> None:
        self._directions = directions

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Look them up."""
        return np.stack([self._directions[text] for text in texts])


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the searches of a catalogue.")
    parser.add_argument(
        "--catalog", type=Path, required=True, help="where the synthetic catalogue is, or goes"
    )
    parser.add_argument("--minilm", type=Path, help="folder of the embedder, to time the query's embedding")
    parser.add_argument("--only-make", action="store_true")
    args = parser.parse_args()
    if not args.catalog.exists():
        began = time.perf_counter()
        write_catalog(args.catalog, {"embedder": Prepared.name}, rows(np.random.default_rng(0)))
        print(f"made in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    if not args.only_make:
        measure(args.catalog, args.minilm)


def words_of(random: np.random.Generator, count: int) -> list[str]:
    ranks = np.minimum(random.zipf(1.3, count), VOCABULARY)
    return [f"word{rank}" for rank in ranks]


def rows(random: np.random.Generator) -> Iterator[Row]:
    yield from (TokenRow(token=token, text=f" t{token}") for token in range(1000))
    for passage in range(PASSAGES):
        tokens = random.integers(0, 1000, LENGTH).tolist()
        yield PassageRow(passage=passage, document=f"d{passage}", split="explain", tokens=tokens)
    for feature in range(FEATURES):
        density = float(10 ** random.uniform(-6, -1))
        yield FeatureRow(feature=feature, h_max=10.0, density=density, mean_activation=2.0, num_documents=50)
        text = " ".join(words_of(random, LABEL_WORDS))
        yield LabelRow(label=feature, feature=feature, text=text, kind="mixed", explainer="made", shown=True)
        yield RatingRow(
            feature=feature, label=feature, test="made", score=random.random(), q_value=None, trusted=True
        )
        for word in dict.fromkeys(words_of(random, WORDS)):
            yield WordRow(feature=feature, text=word, weight=0.5)
        for number in range(EXAMPLES):
            yield ExampleRow(
                example=feature * EXAMPLES + number, feature=feature, passage=int(random.integers(PASSAGES)),
                start=64, length=32, peak=24, role="user", stratum=4, places=[24], activations=[9.5],
            )  # fmt: skip
    yield from embedding_rows(range(FEATURES), random.standard_normal((FEATURES, DIM)))


def timed(call: Callable[[int], object]) -> dict[str, float]:
    """Milliseconds of a `call`: by the clock, and of this process's threads together."""
    for number in range(WARM_UP):
        call(number)
    passed, spent = [], []
    for number in range(QUERIES):
        began, busy = time.perf_counter(), time.process_time()
        call(number)
        passed.append(1000 * (time.perf_counter() - began))
        spent.append(1000 * (time.process_time() - busy))
    return {
        "median_ms": float(np.median(passed)),
        "p95_ms": float(np.quantile(passed, 0.95)),
        "cpu_median_ms": float(np.median(spent)),
    }


def measure(path: Path, minilm: Path | None) -> None:
    random = np.random.default_rng(1)
    texts = [" ".join(words_of(random, 3)) for _ in range(QUERIES)]
    directions = random.standard_normal((QUERIES, DIM)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    began = time.perf_counter()
    catalog = Catalog.open(path, Prepared(dict(zip(texts, directions, strict=True))))
    open_s = time.perf_counter() - began
    began = time.perf_counter()
    catalog.warm()
    warm_s = time.perf_counter() - began
    where = FeatureFilter(max_density=0.01, min_rating=0.5)
    calls: dict[str, Callable[[int], object]] = {
        f"search, {mode}": lambda n, mode=mode: catalog.search(texts[n], limit=LIMIT, mode=mode)
        for mode in ("semantic", "keyword", "hybrid")
    }
    calls["search, semantic, filtered"] = lambda n: catalog.search(
        texts[n], limit=LIMIT, mode="semantic", where=where
    )
    calls["list by density, filtered"] = lambda n: catalog.list(limit=LIMIT, sort="density", where=where)
    calls["20 features by index"] = lambda n: catalog.features(range(n, n + LIMIT))
    calls["one feature with examples"] = lambda n: catalog.feature(n * 17)
    calls["dashboard of one feature"] = lambda n: catalog.dashboard(n * 17)
    calls |= peers(path, directions)
    if minilm is not None:
        from steersman_catalog.minilm import MiniLM

        embedder = MiniLM.load(minilm)
        calls["MiniLM embeds a query of 6 words"] = lambda n: embedder.embed([f"talks about going home {n}"])
    results = {name: timed(call) for name, call in calls.items()}
    began = time.perf_counter()
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(calls["search, semantic"], range(QUERIES)))
    rate = QUERIES / (time.perf_counter() - began)
    table = Table(
        columns=["call", "median, ms", "p95, ms"],
        rows=[[name, f"{one['median_ms']:.2f}", f"{one['p95_ms']:.2f}"] for name, one in results.items()],
        note=f"{FEATURES:,} features in {path.stat().st_size / 1e6:.0f} MB; opened in {open_s:.1f} s.",
    )
    print("\n".join(" | ".join(row) for row in table.rows))
    saved = write(
        "search",
        workload={
            "features": FEATURES, "dim": DIM, "label_words": LABEL_WORDS, "words": WORDS, "queries": QUERIES,
            "limit": LIMIT, "readers": READERS,
        },
        results={
            "calls": results, "searches_per_s": rate, "open_s": open_s, "load_embeddings_s": warm_s,
            "file_mb": path.stat().st_size / 1e6,
        },
        tables={"search": table},
        packages=("numpy", "duckdb"),
    )  # fmt: skip
    print(saved, file=sys.stderr)


def peers(path: Path, directions: np.ndarray) -> dict[str, Callable[[int], object]]:
    """The same search by meaning, indices only."""
    db = duckdb.connect()
    db.execute(f"ATTACH '{path}' AS file (READ_ONLY)")
    db.execute(
        f"CREATE TABLE e AS SELECT label, embedding::FLOAT[{DIM}] AS v FROM file.embeddings ORDER BY label"
    )
    found: Any = db.execute("SELECT v FROM e").fetchnumpy()["v"]
    matrix = np.vstack(found).astype(np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    query = f"SELECT label FROM e ORDER BY array_cosine_similarity(v, $q::FLOAT[{DIM}]) DESC LIMIT {LIMIT}"

    def plain(number: int) -> np.ndarray:
        scores = matrix @ directions[number]
        best = np.argpartition(-scores, LIMIT)[:LIMIT]
        return best[np.argsort(-scores[best])]

    return {
        "peer: numpy, product by BLAS and partition, indices only": plain,
        "peer: DuckDB array_cosine_similarity, indices only": lambda n: db.execute(
            query, {"q": directions[n].tolist()}
        ).fetchall(),
    }


if __name__ == "__main__":
    main()
