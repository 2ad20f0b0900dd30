"""How well moderation finds what it should: the rules, and features as signals, on two sets of texts.

    python benchmarks/moderation.py [--signals signals.toml]      # about ten minutes on two cores

`data/moderation.toml` holds requests labelled by hand; chats of ShareGPT show how often something is found in
what people write. Words and thresholds were chosen by every second text; the figures are of the others. A
feature's value for a text is its largest activation on the user's tokens, sinks left out. A category has as
signals its `FEATURES` best features by AUC, each from a threshold on that at most `RATE` of the chats to
choose by reach. `--signals` writes them for `steersman serve --moderation-signals`.
"""

import argparse
import asyncio
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from facts import Table, write

from steersman_catalog.moderation import CATEGORIES
from steersman_catalog.moderation.rules import rule_evidence
from steersman_engine.commands import default_cache
from steersman_engine.engine import InspectRequest
from steersman_engine.prompt import ROLES, Kind, render
from steersman_engine.serving import Loaded, load
from steersman_training.chats import read_chats
from steersman_training.labelling.statistics import auc, wilson

SET = Path(__file__).parent / "data" / "moderation.toml"
MODEL, CHATS, MAX_CHARS, FEATURES, RATE, SEED = "smollm2-135m-instruct", 600, 600, 3, 0.005, 0
HARM = "any"
"""All categories together."""
Texts = Mapping[str, Sequence[str]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure moderation.")
    parser.add_argument("--signals", type=Path, help="where to write the signals")
    args = parser.parse_args()
    texts = tomllib.loads(SET.read_text(encoding="utf-8"))
    chats = some_chats()
    loaded = load(MODEL, None, device="cpu", dtype="float32", cache=default_cache())
    try:
        rules, signals, chosen = asyncio.run(measure(texts, chats, loaded))
    finally:
        asyncio.run(loaded.engine.aclose())
    if args.signals:
        write_signals(args.signals, loaded.bundle, chosen)
    columns = ["category", "requests", "recall", "near misses found", "chats found"]
    tables = {
        name: Table(
            columns=columns, rows=[row(*one) for one in found.items()], note=f"{note} 95 % intervals."
        )
        for name, found, note in (
            ("rules", rules, "Of the rules, on the halves to test by."),
            ("signals", signals, f"Of {FEATURES} features a category, on the halves to test by."),
        )
    }
    for name, table in tables.items():
        print(name, *(" | ".join(cells) for cells in [columns, *table.rows]), sep="\n")
    saved = write(
        "moderation",
        workload={
            "model": MODEL, "bundle": loaded.bundle, "chats": CHATS, "max_chars": MAX_CHARS,
            "features": FEATURES, "rate": RATE, "seed": SEED,
            "requests": {name: len(listed) for name, listed in texts.items()},
        },
        results={"rules": rules, "signals": signals, "chosen": chosen},
        tables=tables,
    )  # fmt: skip
    print(saved, file=sys.stderr)


def some_chats() -> list[str]:
    """First messages of chats that are not trained on, cut to a length."""
    chats = read_chats("sharegpt", default_cache())
    order = chats.order("evaluation", seed=SEED, max_length=512)[: 2 * CHATS]
    said = (next((m["content"] for m in chats[int(i)].messages if m["role"] == "user"), "") for i in order)
    return [text[:MAX_CHARS] for text in said if text.strip()][:CHATS]


async def measure(texts: Texts, chats: Sequence[str], loaded: Loaded) -> tuple[dict, dict, list[dict]]:
    """Figures of the rules and of signals, by category, and the signals."""
    acts = {name: await activations(listed, loaded, name) for name, listed in texts.items()}
    of_chats = await activations(chats, loaded, "chats")
    found_by_rules = {name: [set(rule_evidence(text)) for text in listed] for name, listed in texts.items()}
    chats_by_rules = [set(rule_evidence(text)) for text in chats]
    chosen: list[dict] = []
    rules, signals = {}, {}
    for category in CATEGORIES:
        hits = [category in found for found in found_by_rules[category][1::2]]
        near = [category in found for found in found_by_rules["harmless"][1::2]]
        rules[category] = figures(hits, near, [category in found for found in chats_by_rules[1::2]])
        mine = choose(
            acts[category][::2], np.concatenate([acts["harmless"][::2], of_chats[::2]]), of_chats[::2]
        )
        chosen += [{"category": category, **signal} for signal in mine]
        signals[category] = figures(
            *(fires(one[1::2], mine) for one in (acts[category], acts["harmless"], of_chats))
        )
    every = list(CATEGORIES)
    rules[HARM] = figures(
        [bool(found) for name in every for found in found_by_rules[name][1::2]],
        [bool(found) for found in found_by_rules["harmless"][1::2]],
        [bool(found) for found in chats_by_rules[1::2]],
    )
    together = np.concatenate([acts[name][1::2] for name in every])
    signals[HARM] = figures(
        *(fires(one, chosen) for one in (together, acts["harmless"][1::2], of_chats[1::2]))
    )
    return rules, signals, chosen


async def activations(texts: Sequence[str], loaded: Loaded, name: str) -> np.ndarray:
    """Each feature's largest activation on each text, `[texts, d_sae]`."""
    found = np.zeros((len(texts), loaded.d_sae), np.float32)
    for number, text in enumerate(texts):
        prompt = render(loaded.tokenizer, [{"role": "user", "content": text}], generate=False)
        for token in await loaded.engine.inspect(InspectRequest(prompt=prompt)):
            here = (
                prompt.kinds[token.position] is Kind.CONTENT and ROLES[prompt.roles[token.position]] == "user"
            )
            for active in token.features if here and not token.is_sink else ():
                found[number, active.feature] = max(found[number, active.feature], active.activation)
        if number % 100 == 99:
            print(f"{name}: {number + 1} of {len(texts)}", file=sys.stderr)
    return found


def choose(positive: np.ndarray, negative: np.ndarray, chats: np.ndarray) -> list[dict]:
    """The features that tell a category best, each with a threshold that few chats reach."""
    fire = np.flatnonzero((positive > 0).mean(0) >= 0.3)
    scored = sorted(((auc(positive[:, f], negative[:, f]), int(f)) for f in fire), reverse=True)[:FEATURES]
    return [
        {"feature": f, "auc": float(score), "threshold": float(np.quantile(chats[:, f], 1 - RATE)) + 1e-3}
        for score, f in scored
    ]


def fires(acts: np.ndarray, signals: Sequence[dict]) -> list[bool]:
    """Which texts any of the signals finds."""
    if not signals:
        return [False] * len(acts)
    above = [acts[:, signal["feature"]] > signal["threshold"] for signal in signals]
    return np.any(above, axis=0).tolist()


def figures(hits: Sequence[bool], near: Sequence[bool], chats: Sequence[bool]) -> dict[str, dict[str, float]]:
    """Of requests that belong to a category, of harmless ones, of chats: how many are found."""
    made = {}
    for name, found in (("recall", hits), ("harmless", near), ("chats", chats)):
        low, high = wilson(sum(found), len(found))
        made[name] = {
            "k": sum(found),
            "n": len(found),
            "rate": sum(found) / len(found),
            "low": low,
            "high": high,
        }
    return made


def row(category: str, found: dict[str, dict[str, float]]) -> list[str]:
    def cell(one: dict[str, float]) -> str:
        return f"{one['k']}/{one['n']} ({one['low']:.1%}–{one['high']:.1%})"

    return [
        category,
        str(found["recall"]["n"]),
        *(cell(found[name]) for name in ("recall", "harmless", "chats")),
    ]


def write_signals(path: Path, bundle: str, chosen: Sequence[dict]) -> None:
    """As the server reads them."""
    lines = [f'bundle = "{bundle}"']
    for one in chosen:
        lines += ["", "[[signal]]", f'category = "{one["category"]}"', f"feature = {one['feature']}"]
        lines += [f"threshold = {one['threshold']:.6g}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
