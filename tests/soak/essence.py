"""What an answer says, apart from what may differ from one time to the next, and whether two say the same."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from steersman.sse import EventDecoder

VOLATILE = {"id", "created", "updated", "system_fingerprint", "bundle", "label", "model", "object"}
"""Ids and times; the bundle's hash and labels change when the catalogue is swapped."""
TOLERANCE = 0.02
"""Numbers depend, in their last bits, on what was computed in the same batch."""


class BrokenStreamError(Exception):
    """A stream did not end as it should have."""


class StreamError(Exception):
    """A stream ended with an error event."""


def essence(answer: Any) -> Any:
    """The answer without what is volatile."""
    if isinstance(answer, dict):
        return {name: essence(value) for name, value in answer.items() if name not in VOLATILE}
    return [essence(value) for value in answer] if isinstance(answer, list) else answer


def labels(answer: Any) -> Iterator[str]:
    """Every label in an answer."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            yield from [value] if name == "label" and isinstance(value, str) else labels(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from labels(value)


def difference(found: Any, expected: Any, where: str = "") -> str | None:
    """The first place at which two essences differ, or None."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(found.keys() | expected.keys()):
            at = f"{where}.{name}" if where else name
            if name not in found or name not in expected:
                return f"{at} is in one only"
            if apart := difference(found[name], expected[name], at):
                return apart
        return None
    if isinstance(expected, list) and isinstance(found, list):
        return _difference_of_lists(found, expected, where)
    if isinstance(expected, float) and isinstance(found, float | int):
        near = abs(found - expected) <= TOLERANCE * max(1.0, abs(expected))
        return None if near else f"{where}: {found} is not {expected}"
    return None if found == expected else f"{where}: {found!r} is not {expected!r}"


def _difference_of_lists(found: list[Any], expected: list[Any], where: str) -> str | None:
    if len(found) != len(expected):
        return f"{where} has {len(found)} entries, not {len(expected)}"
    ranked = next((name for name in ("feature", "token") if _ranked(expected, name)), None)
    if ranked:  # two near one another may change places, and the last may give way to another
        known = {json.dumps(each[ranked]): each for each in expected}
        common = [each for each in found if json.dumps(each[ranked]) in known]
        if len(common) < len(expected) - max(1, len(expected) // 4):
            return f"{where} ranks others"
        pairs: Iterable[Any] = [(each, known[json.dumps(each[ranked])]) for each in common]
    else:
        pairs = zip(found, expected, strict=True)
    for index, (one, other) in enumerate(pairs):
        if apart := difference(one, other, f"{where}[{index}]"):
            return apart
    return None


def _ranked(entries: list[Any], by: str) -> bool:
    """Whether it is a list of the foremost features or tokens, rather than of an answer's."""
    return len(entries) > 1 and all(
        isinstance(each, dict) and by in each and not {"top_logprobs", "position", "index"} & each.keys()
        for each in entries
    )


def joined(stream: bytes) -> dict[str, Any]:
    """A streamed chat as the answer that is not streamed has it.

    Raises:
        StreamError: It holds an error event.
        BrokenStreamError: Its events are not those of one whole answer.
    """
    events = [event.data for event in EventDecoder().feed(stream)]
    chunks = [json.loads(data) for data in events if data != b"[DONE]"]
    for chunk in chunks:
        if "error" in chunk:
            raise StreamError(chunk["error"])
    if not events or events[-1] != b"[DONE]":
        raise BrokenStreamError(f"{len(events)} events, and no [DONE] at the end")
    if len({chunk["id"] for chunk in chunks}) != 1:
        raise BrokenStreamError("events of several answers")
    answer: dict[str, Any] = {"choices": {}}
    for chunk in chunks:
        answer |= {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        if chunk.get("usage"):
            answer["usage"] = chunk["usage"]
        for part in chunk["choices"]:
            _add(answer["choices"].setdefault(part["index"], _choice(part["index"])), part)
    answer["choices"] = [answer["choices"][index] for index in sorted(answer["choices"])]
    if any(choice["finish_reason"] is None for choice in answer["choices"]):
        raise BrokenStreamError("a choice has no finish_reason")
    return answer


def _choice(index: int) -> dict[str, Any]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": "", "refusal": None},
        "finish_reason": None,
        "logprobs": None,
    }


def _add(choice: dict[str, Any], part: dict[str, Any]) -> None:
    if choice["finish_reason"] is not None:
        raise BrokenStreamError("text after the finish_reason")
    choice["message"]["content"] += part["delta"].get("content") or ""
    choice["finish_reason"] = part["finish_reason"]
    if part.get("logprobs"):
        choice["logprobs"] = choice["logprobs"] or {"content": [], "refusal": None}
        choice["logprobs"]["content"] += part["logprobs"]["content"]
