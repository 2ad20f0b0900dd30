"""A job in a process of its own, to be killed."""

from pathlib import Path

import anthropic
from tests.training.labelling.conftest import MODEL, PRICE, questions
from tests.training.labelling.fake_llm_server import SECRET

from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.transports import Transport
from steersman_training.labelling.transports.claude_batches import ClaudeBatches
from steersman_training.labelling.transports.claude_messages import ClaudeMessages
from steersman_training.labelling.transports.claude_model import ClaudeModel
from steersman_training.labelling.transports.one_by_one import OneByOne


def make_transport(kind: str, client: anthropic.Anthropic, ledger: Ledger) -> Transport:
    """`batches` or `messages`, impatient."""
    model = ClaudeModel(id=MODEL)
    if kind == "batches":
        return ClaudeBatches(client, model, PRICE, ledger, poll_s=0.01, settle_s=0.0)
    return OneByOne(ClaudeMessages(client, model, PRICE), ledger, concurrency=2)


def work(url: str, path: Path, kind: str, count: int) -> None:
    """Ask `count` questions."""
    client = anthropic.Anthropic(base_url=url, api_key=SECRET)
    with Ledger(path, max_usd=100.0) as ledger:
        for _ in make_transport(kind, client, ledger).run(questions(count)):
            pass
