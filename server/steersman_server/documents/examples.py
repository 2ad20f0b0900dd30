"""A request for each endpoint that takes one, which a test sends, and what the default model answered.

`python tests/server/capture_answers.py URL` asks a server again.
"""

from importlib.resources import files
from typing import Any

import msgspec

HELLO = [{"role": "user", "content": "Tell me about the sea."}]
EDIT = {"feature": 1, "strength": 0.6}
CONDITION = {"feature": 3, "op": ">", "value": 0.5}

EXAMPLES: dict[str, dict[str, Any]] = {
    "ChatRequest": {
        "messages": HELLO,
        "max_tokens": 64,
        "seed": 1,
        "feature_edits": [EDIT, {"feature": 3, "mode": "scale", "strength": 0, "when": CONDITION}],
        "attribution": {"tokens": [0], "top_k": 5},
    },
    "CompletionRequest": {"prompt": "Once upon a time", "max_tokens": 16, "feature_edits": [EDIT]},
    "SweepRequest": {
        "messages": HELLO,
        "max_tokens": 32,
        "sweep": [[], [EDIT], [{"feature": 1, "strength": 1.0}]],
        "score": True,
    },
    "LogitsRequest": {"messages": HELLO, "feature_edits": [EDIT], "top_k": 5},
    "InspectRequest": {"messages": HELLO, "top_k": 5, "skip_template": True},
    "AttributeRequest": {
        "messages": [*HELLO, {"role": "assistant", "content": "The sea is salty."}],
        "tokens": [-1],
        "method": "gradient_x_activation",
    },
    "ContrastRequest": {
        "positive": [[{"role": "user", "content": "Ahoy, matey!"}]],
        "negative": [[{"role": "user", "content": "Good morning, sir."}]],
        "top_k": 5,
    },
    "FeatureLookup": {"features": [1, 3]},
    "RerankRequest": {"features": [1, 3], "query": "the sea"},
    "NeighborsRequest": {"features": [0, 1], "space": "decoder"},
    "VariantRequest": {"name": "sailor", "description": "Talks of the sea.", "feature_edits": [EDIT]},
    "VariantImport": {"data": [], "overwrite": True},
    "TokenizeRequest": {"prompt": "Ahoy!"},
    "DetokenizeRequest": {"tokens": [1, 2, 3]},
}

ANSWERS: dict[str, Any] = msgspec.json.decode(
    (files("steersman_server.documents") / "answers.json").read_bytes()
)
"""What each operation gives, by its method and path; lists are cut short."""
