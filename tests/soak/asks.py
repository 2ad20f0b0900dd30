"""The requests that clients draw from: every kind that the server answers, and some that it must refuse."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

How = Literal["whole", "stream", "slow", "leave", "leave_stream", "sdk", "openai"]

SUBJECTS = (
    "the sea", "a bicycle", "old books", "a winter morning", "your favourite soup", "the number seven",
    "a train station", "gardens", "how bread is made", "the moon", "chess", "a letter to a friend",
)  # fmt: skip
POISON = ("~~~~~~~~", " Paris Paris Paris Paris Paris Paris")
"""Texts, one of which has four equal tokens in a row for any tokenizer here."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, how its client reads the answer, and what must come of it."""

    kind: str
    path: str = "/v1/chat/completions"
    body: dict[str, Any] | None = field(default_factory=dict)
    """None: a GET."""
    how: How = "whole"
    refused: tuple[int, str] | None = None
    """Status and code of the error that it gets."""
    weight: float = 1.0


def chat(text: str, max_tokens: int, **fields: Any) -> dict[str, Any]:
    """A body for `/v1/chat/completions`; greedy unless told otherwise."""
    fields = {"temperature": 0, "seed": 0, "max_tokens": max_tokens} | fields
    return {"messages": [{"role": "user", "content": text}], **fields}


def make_asks(rng: random.Random, features: Sequence[int], model: str, variants: Sequence[str]) -> list[Ask]:
    """All that is asked, for a model whose `features` can be steered; `variants` exist."""
    return [
        *_answers(rng, features),
        *_questions(rng, features, model, variants),
        *_impatient(rng, features),
        *_bad(features, model),
    ]


def _edits(rng: random.Random, features: Sequence[int], count: int = 2) -> list[dict[str, Any]]:
    modes = ({}, {"mode": "add"}, {"mode": "scale", "strength": 0}, {"phase": "generation"})
    return [
        {"feature": feature, "strength": round(rng.uniform(-1, 1), 2)} | rng.choice(modes)
        for feature in rng.sample(features, count)
    ]


def _text(rng: random.Random) -> str:
    return f"Tell me about {rng.choice(SUBJECTS)} and {rng.choice(SUBJECTS)} ({rng.randrange(1000)})."


def _answers(rng: random.Random, features: Sequence[int]) -> list[Ask]:
    """Chats: plain and steered, greedy and sampled, whole, streamed and read slowly, by three clients."""
    asks = [Ask("plain", body=chat(_text(rng), 16), weight=2) for _ in range(6)]
    for _ in range(10):
        body = chat(
            _text(rng), rng.randrange(8, 28), feature_edits=_edits(rng, features, rng.randrange(1, 5))
        )
        asks += [Ask("edits", body=body), Ask("edits, streamed", body=body, how="stream")]
    for seed in range(4):
        body = chat(_text(rng), 16, temperature=0.9, top_p=0.95, seed=seed, n=1 + seed % 2)
        asks += [Ask("sampled", body=body), Ask("sampled, streamed", body=body, how="stream")]
    for how in ("sdk", "openai"):
        body = chat(_text(rng), 16, feature_edits=_edits(rng, features))
        asks.append(Ask(f"{how} client, streamed", body=body, how=how, weight=3))
    wordy = chat(_text(rng), 48, logprobs=True, top_logprobs=20, feature_edits=_edits(rng, features))
    return [*asks, Ask("slow reader", body=wordy, how="slow", weight=4)]


def _questions(rng: random.Random, features: Sequence[int], model: str, variants: Sequence[str]) -> list[Ask]:
    """Everything else that is answered."""
    explained = {"tokens": [0, 2], "top_k": 5}
    edits = _edits(rng, features)
    talk = [{"role": "user", "content": _text(rng)}, {"role": "assistant", "content": "Gladly, here it is."}]
    other = [{"role": "user", "content": _text(rng)}, {"role": "assistant", "content": "No."}]
    json_wanted = {"response_format": {"type": "json_object"}}
    stop = {"abort_when": [{"feature": features[0], "op": ">", "value": 0.05}]}
    return [
        *(Ask("variant", body=chat(_text(rng), 12, model=f"{model}:{name}"), weight=2) for name in variants),
        Ask("attribution", body=chat(_text(rng), 8, attribution=explained), weight=3),
        Ask("attribution", body=chat(_text(rng), 8, attribution=explained, feature_edits=edits), weight=2),
        Ask("attribution, streamed", body=chat(_text(rng), 8, attribution=explained), how="stream", weight=2),
        Ask(
            "attribute", "/v1/features/attribute", {"messages": talk, "tokens": [0, 1], "top_k": 5}, weight=2
        ),
        Ask("inspect", "/v1/features/inspect", {"messages": talk, "top_k_per_token": 4}, weight=3),
        Ask(
            "inspect",
            "/v1/features/inspect",
            {"messages": talk, "feature_edits": edits, "top_k": 8},
            weight=2,
        ),
        Ask("contrast", "/v1/features/contrast", {"positive": [talk], "negative": [other], "top_k": 5}),
        Ask("logits", "/v1/logits", {"messages": talk[:1], "feature_edits": edits, "top_k": 5}, weight=2),
        Ask("sweep", "/v1/sweeps", chat(_text(rng), 6, sweep=[[], edits[:1], edits[1:], edits]), weight=3),
        Ask("json", body=chat(_text(rng), 12, **json_wanted), weight=2),
        Ask("stop on a feature", body=chat(_text(rng), 16, **stop), weight=2),
        Ask("completion", "/v1/completions", {"prompt": "Once upon", "max_tokens": 8, "temperature": 0}),
        Ask("search", "/v1/features?query=direction%20food&mode=keyword&limit=5", None, weight=2),
        Ask("feature", f"/v1/features/{features[1]}", None, weight=2),
    ]


def _impatient(rng: random.Random, features: Sequence[int]) -> list[Ask]:
    """Clients that leave before the end."""
    long = chat(_text(rng), 64, feature_edits=_edits(rng, features))
    explained = chat(_text(rng), 24, attribution={"tokens": "all", "top_k": 5})
    return [
        Ask("left a stream", body=long, how="leave_stream", weight=6),
        Ask("left before the answer", body=long, how="leave", weight=4),
        Ask("left an attribution", body=explained, how="leave", weight=2),
    ]


def _bad(features: Sequence[int], model: str) -> list[Ask]:
    """What must be refused, and how."""
    edit = {"feature": features[0], "strength": 0.5}
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({"feature_edits": [edit | {"feature": 10**9}]}, 404, "feature_not_found"),
        ({"feature_edits": [edit | {"strength": 99}]}, 400, "decimal_above_max_value"),
        ({"feature_edits": [edit | {"strenght": 1}]}, 400, "unknown_parameter"),
        ({"feature_edits": [edit | {"mode": "scale", "strength": 1}]}, 400, "edit_without_effect"),
        ({"model": f"{model}:nobody"}, 404, "model_not_found"),
        ({"messages": []}, 400, "empty_array"),
        ({"max_tokens": "8"}, 400, "invalid_type"),
        ({"messages": [{"role": "user", "content": "long " * 40_000}]}, 400, "context_length_exceeded"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "unsupported_parameter"),
    ]
    return [Ask("bad", body=chat("Hi", 4) | fields, refused=(status, code)) for fields, status, code in wrong]
