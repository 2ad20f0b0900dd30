"""The tables of `docs/engine.md`, from the cells of `benchmarks/engine.py`."""

from typing import Any

from facts import Table

OURS = "steersman"


def tables(results: dict[str, Any]) -> dict[str, Table]:
    """One table of tokens per second for each prompt length, one of latencies, one of steering's cost."""
    cells = results["cells"]
    found = {"steering": _steering(cells), "bound": _bound(results["bound"])}
    for prompt in sorted({cell["prompt"] for cell in cells}):
        plain = [cell for cell in cells if cell["prompt"] == prompt and cell["edits"] == 0]
        found[f"prompt_{prompt}"] = _by_streams(
            plain,
            "tokens_per_s",
            f"Tokens/s of all streams, prompts of {prompt} tokens read included; medians.",
        )
        found[f"latency_{prompt}"] = _latency(plain, prompt)
    return found


def _by_streams(cells: list[dict[str, Any]], key: str, note: str) -> Table:
    streams = sorted({cell["streams"] for cell in cells})
    names = list(dict.fromkeys(cell["engine"] for cell in cells))
    value = {(cell["engine"], cell["streams"]): f"{cell[key]:.0f}" for cell in cells}
    rows = [[name, *(value.get((name, count), "–") for count in streams)] for name in names]
    return Table(["engine \\ streams", *map(str, streams)], rows, note)


def _latency(cells: list[dict[str, Any]], prompt: int) -> Table:
    rows = [
        [
            cell["engine"],
            str(cell["streams"]),
            *(f"{1e3 * cell[key]:.0f}" for key in ("first_token_s", "between_p50_s", "between_p99_s")),
        ]
        for cell in sorted(cells, key=lambda cell: cell["streams"])
    ]
    columns = ["engine", "streams", "first token, ms", "between tokens p50, ms", "p99, ms"]
    return Table(columns, rows, f"Prompts of {prompt} tokens; medians.")


def _steering(cells: list[dict[str, Any]]) -> Table:
    """Our tokens per second with edits over those without."""
    ours = {(c["prompt"], c["streams"], c["edits"]): c["tokens_per_s"] for c in cells if c["engine"] == OURS}
    edits = sorted({key[2] for key in ours if key[2]})
    rows = [
        [
            str(prompt),
            str(streams),
            f"{ours[prompt, streams, 0]:.0f}",
            *(_ratio(ours.get((prompt, streams, count)), ours[prompt, streams, 0]) for count in edits),
        ]
        for prompt, streams, count in sorted(ours)
        if count == 0
    ]
    columns = ["prompt", "streams", "plain, tokens/s", *(f"{count} edits a stream" for count in edits)]
    return Table(columns, rows, "Steered / plain; all edits of all streams are different.")


def _ratio(steered: float | None, plain: float) -> str:
    return "–" if steered is None else f"{steered / plain:.2f}"


def _bound(bound: dict[str, float]) -> Table:
    rows = [
        ["reading memory, GB/s", f"{bound['read_gb_per_s']:.1f}"],
        ["float32 products, GFLOP/s", f"{bound['float32_gflop_per_s']:.0f}"],
        ["one stream, float32 weights, tokens/s at most", f"{bound['one_stream_float32']:.0f}"],
        ["one stream, 16-bit weights, tokens/s at most", f"{bound['one_stream_16_bit']:.0f}"],
        ["many streams, tokens/s at most", f"{bound['many_streams']:.0f}"],
    ]
    return Table(["bound", "value"], rows)
