"""Ask a server for the answers that the API's description shows.

python tests/server/capture_answers.py URL
"""

import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec

import steersman_server.documents
from steersman_server.documents.examples import EXAMPLES

KEPT = 2
"""Items of a list."""


def short(value: Any) -> Any:
    """The value, its lists cut."""
    if isinstance(value, dict):
        return {name: short(inner) for name, inner in value.items()}
    return [short(inner) for inner in value[:KEPT]] if isinstance(value, list) else value


def main(url: str) -> None:
    found = {}
    with httpx.Client(base_url=url, timeout=120) as http:
        document = http.get("/schema/openapi.json").json()
        (model,) = (model["id"] for model in http.get("/v1/models").json()["data"])
        order = ["post", "get", "put", "delete"]  # a variant is made, read, changed and deleted
        operations = [
            (m, path, item[m]) for m in order for path, item in document["paths"].items() if m in item
        ]
        for method, path, operation in operations:
            body = operation.get("requestBody")
            schema = body and body["content"]["application/json"]["schema"]
            asked = schema and EXAMPLES[schema["$ref"].rpartition("/")[2]]
            answer = http.request(method, path.format(index=1, name="sailor", model=model), json=asked)
            answer.raise_for_status()
            if answer.headers["content-type"] == "application/json":
                found[f"{method.upper()} {path}"] = short(answer.json())
    target = Path(steersman_server.documents.__file__).with_name("answers.json")
    target.write_bytes(
        msgspec.json.format(msgspec.json.encode(dict(sorted(found.items()))), indent=1) + b"\n"
    )


if __name__ == "__main__":
    main(sys.argv[1])
