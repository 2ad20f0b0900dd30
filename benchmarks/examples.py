"""Run the examples and write what they print into the documents.

    python benchmarks/examples.py [--url URL]

An output stands between two comments, as in README.md and docs/sdk.md. Without `--url` a server of the
default model is started for as long as it takes. `tests/real/test_examples.py` holds the documents to it.

    <!-- output: steer -->
    <!-- end -->
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from steersman import Client
from steersman.terminal.local_server import running_server, wait_until_ready

ROOT = Path(__file__).parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "sdk.md")
MARKED = re.compile(r"(<!-- output: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
PLOT = ROOT / "docs" / "sweep_strengths.svg"


def rendered(document: str, output: Callable[[str], str]) -> str:
    """The document with every marked output replaced by `output(name)`."""
    return MARKED.sub(lambda match: f"{match[1]}```\n{output(match['name'])}\n```\n{match[3]}", document)


def outputs(document: str) -> dict[str, str]:
    """What a document says that each example prints."""
    return {
        match["name"]: match[0].split("```\n", 1)[1].rpartition("\n```\n")[0]
        for match in MARKED.finditer(document)
    }


def printed(name: str, url: str) -> str:
    """What an example prints, run against the server at `url`."""
    arguments = {"steer": [f"{url}/v1"], "sweep_strengths": [str(PLOT)]}.get(name, [])
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments],
        env={**os.environ, "STEERSMAN_BASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip("\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", help="a running server of the default model")
    url = parser.parse_args().url
    with nullcontext() if url else running_server() as server:
        address = server.url if server else url
        with Client(address, max_retries=0) as client:
            wait_until_ready(client, server, lambda seconds: None)
        for path in DOCUMENTS:
            before = path.read_text(encoding="utf-8")
            path.write_text(rendered(before, lambda name: printed(name, address)), encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
