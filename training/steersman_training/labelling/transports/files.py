"""Questions as a file, and answers from a file: so that answers can come from anywhere.

A file of requests is what Anthropic's or OpenAI's batch service takes, one JSON object a line. Answers are
read in either service's form, or as `{"custom_id": ..., "text": "..."}`, in any order and any number of
files: what is missing stays open, and is written again by the next export.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from anthropic.types import Message
from msgspec import Struct, field
from pydantic import ValidationError

from steersman_training.labelling.ask import Answer, Ask, Usage
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import BackendError, UnsureError
from steersman_training.labelling.transports.claude_model import ClaudeModel, read_message
from steersman_training.labelling.transports.openai_endpoint import body, read_completion

Form = Literal["anthropic", "openai"]
FORMS: tuple[Form, ...] = ("anthropic", "openai")
WRITTEN = 200
"""Answers recorded in one transaction."""


class ExportedError(BackendError):
    """The questions are in a file now, and the job goes on when their answers are imported."""

    def __init__(self, path: Path, num_asks: int) -> None:
        super().__init__(
            f"{num_asks} requests are in {path}. Have them answered, read the answers with "
            "`steersman label import`, then resume."
        )
        self.path = path
        self.num_asks = num_asks


class Imported(Struct, kw_only=True):
    """What became of a file of answers."""

    recorded: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    """Of those recorded, how many are failures, by kind."""
    known: list[str] = field(default_factory=list)
    """Ids of questions that had an answer already, here or earlier in the file; the first one stands."""
    unknown: list[str] = field(default_factory=list)
    """Ids that no exported question has."""
    unanswered: dict[str, str] = field(default_factory=dict)
    """Ids whose result is an error or expiry, and what it says; they stay open."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """Numbers of lines that are no answer, from 1, and why."""
    missing: list[str] = field(default_factory=list)
    """Ids of exported questions that still have no answer."""


class Export:
    """A transport that only writes: `run` always ends with `ExportedError`."""

    name = "export"
    batch_size = 1_000_000

    def __init__(self, path: Path, form: Form, ledger: Ledger) -> None:
        self._path = path
        self._form: Form = form
        self._ledger = ledger

    def usd(self, usage: Usage, together: int = 1) -> float:
        """Nothing: whoever answers is paid elsewhere."""
        return 0.0

    def seconds(self, together: int) -> float:
        """Not known."""
        return 0.0

    def most_usd(self, ask: Ask) -> float:
        """Nothing."""
        return 0.0

    def run(self, asks: Sequence[Ask]) -> Iterator[Answer]:
        """Write the questions, and stop.

        Raises:
            ExportedError: They are written.
        """
        write_requests(self._path, asks, self._form)
        known = exported(self._ledger)
        self._ledger.export(self.name, [ask for ask in asks if ask.id not in known])
        raise ExportedError(self._path, len(asks))
        yield  # a generator, as the others are


def write_requests(path: Path, asks: Sequence[Ask], form: Form) -> None:
    """One request a line; the file appears whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with part.open("wb") as file:
        for ask in asks:
            file.write(msgspec.json.encode(request_line(ask, form)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def request_line(ask: Ask, form: Form) -> dict[str, Any]:
    """A question as a batch service takes it. Claude's models get room to think: here no one can ask them."""
    if form == "anthropic":
        model = ClaudeModel(id=ask.model, thinks=True)
        return {"custom_id": ask.id, "params": model.params(ask, "1h")}
    made = body(ask, "json_schema", "max_completion_tokens", {})
    return {"custom_id": ask.id, "method": "POST", "url": "/v1/chat/completions", "body": made}


def exported(ledger: Ledger) -> dict[str, str]:
    """Questions that were written to a file and have no answer: the submission of each."""
    return dict(
        ledger.rows("SELECT ask, submission FROM requests WHERE state = 'exported' ORDER BY created DESC")
    )


def import_answers(path: Path, ledger: Ledger) -> Imported:
    """Read a file of answers into the ledger; doing it twice changes nothing."""
    report, waiting = Imported(), exported(ledger)
    done = defaultdict[str, list[tuple[Answer, float]]](list)
    seen: set[str] = set()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                answer = read_result(line)
            except (ValueError, UnsureError) as error:
                report.unreadable[number] = str(error)
                continue
            if answer.ask in seen or next(ledger.answers([answer.ask]), None) is not None:
                report.known.append(answer.ask)
            elif answer.ask not in waiting:
                report.unknown.append(answer.ask)
            elif answer.failure is not None and answer.failure.kind in ("error", "expired"):
                report.unanswered[answer.ask] = answer.failure.detail
            else:
                seen.add(answer.ask)
                report.recorded += 1
                if answer.failure is not None:
                    report.failures[answer.failure.kind] = report.failures.get(answer.failure.kind, 0) + 1
                rows = done[waiting[answer.ask]]
                rows.append((answer, 0.0))
                if len(rows) == WRITTEN:
                    ledger.settle(waiting[answer.ask], rows)
                    rows.clear()
    for submission, rows in done.items():
        ledger.settle(submission, rows)
    report.missing = sorted(exported(ledger))
    return report


def read_result(line: bytes) -> Answer:
    """One line of a file of answers.

    Raises:
        ValueError: It is none.
        UnsureError: It is none.
    """
    content = msgspec.json.decode(line)
    if not isinstance(content, dict) or not isinstance(content.get("custom_id"), str):
        raise ValueError("no object with a custom_id")
    ask = content["custom_id"].rpartition("_")[2]  # a batch's own ids have the submission's before
    for key, read in READERS.items():
        if key in content:
            return read(ask, content[key])
    raise ValueError(f"none of {', '.join(READERS)} is there")


def _read_text(ask: str, text: Any) -> Answer:
    if not isinstance(text, str):
        raise ValueError("the text is none")
    return Answer(ask=ask, text=text, stop_reason="imported")


def _read_anthropic(ask: str, result: Any) -> Answer:
    result = msgspec.convert(result, dict[str, Any])
    if result.get("type") == "succeeded":
        return read_message(ask, _message(result.get("message")))
    kind = "expired" if result.get("type") == "expired" else "error"
    return Answer(ask=ask, failure=Failure(kind, str(result)))


def _read_openai(ask: str, response: Any) -> Answer:
    response = msgspec.convert(response, dict[str, Any])
    if response.get("status_code") != 200:
        return Answer(ask=ask, failure=Failure("error", str(response)))
    return read_completion(ask, msgspec.json.encode(response.get("body")))


def _message(content: Any) -> Message:
    try:
        return Message.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"the message is none: {error}") from error


READERS: dict[str, Callable[[str, Any], Answer]] = {
    "text": _read_text,
    "result": _read_anthropic,
    "response": _read_openai,
}
"""By the key that tells the form."""
