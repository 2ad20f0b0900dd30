"""A record of the audit log: who did what edit, to what effect."""

from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, structs

from steersman.types import FinishReason, Moderation, SteeringReceipt
from steersman_server.account import Account
from steersman_server.answers.answer import Answer
from steersman_server.answers.detokenizer import decode
from steersman_server.errors import RequestError
from steersman_server.plans.goodfire import read_controller

CHANGES = ("POST", "PUT", "DELETE")
SHOWN = frozenset(
    {
        "abort_when",
        "activations",
        "aggregate",
        "attribution",
        "data",
        "feature_edits",
        "features",
        "method",
        "name",
        "negative_edits",
        "overwrite",
        "positive_edits",
        "sweep",
    }
)
"""Fields of requests that say what was done, and hold nothing that anybody wrote in a conversation."""


class AuditedAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer."""

    finish_reason: FinishReason | None
    """None: it was not finished."""
    tokens: int
    """Those written, the ones of a stop string included."""
    text: str | None = None


class AuditRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request."""

    time: datetime
    """When it arrived."""
    request_id: str
    key: str | None
    """The key's name; None where no key is asked for, or none was known."""
    method: str
    route: str
    model: str | None = None
    bundle: str | None = None
    """Whose features the numbers mean."""
    status: int | None
    """None: the client left before there was one."""
    code: str | None = None
    """Of the error it ended with, after the beginning of a stream too."""
    param: str | None = None
    """The field to blame for it."""
    seconds: float
    asked: dict[str, Any]
    """What the request said of features, edits, conditions and variants."""
    steering: list[SteeringReceipt] = []
    """What was done: a receipt for each prompt, or for each row of a sweep."""
    answers: list[AuditedAnswer] = []
    tokens_read: int
    tokens_written: int
    moderation: Moderation | None = None
    """What moderation found, as the answer says it."""
    body: Struct | None = None
    """The whole request; like the answers' text only if that is asked for."""


def is_audited(account: Account) -> bool:
    """Whether a request belongs in the log: it makes answers, looks inside, changes something, or may not."""
    return account.route is not None and (account.method in CHANGES or account.status in (401, 403))


def record_of(account: Account, *, with_text: bool) -> AuditRecord:
    """The record of a request that is over."""
    served, work = account.served, account.work
    model = getattr(account.asked, "model", None) or (served.name if served else None)
    return AuditRecord(
        time=account.at,
        request_id=account.request_id,
        key=account.whose.key,
        method=account.method,
        route=account.route or "",
        model=model and model[:200],
        bundle=served.bundle if served else None,
        status=account.status,
        code=account.code,
        param=None if account.code == "unknown_parameter" else account.param,  # a stranger's words
        seconds=round(account.ended_s - account.arrived_s, 4),
        asked=account.scope.get("path_params", {}) | asked_of(account.asked),
        steering=[_without_text(one) for one in work.receipts()] if work else [],
        answers=[_answer(one, account, with_text=with_text) for one in work.answers] if work else [],
        tokens_read=account.num_read,
        tokens_written=account.num_written,
        moderation=work.moderation() if work else None,
        body=account.asked if with_text else None,
    )


def asked_of(body: Struct | None) -> dict[str, Any]:
    """What a request says of features, edits, conditions and variants; defaults left out."""
    if body is None:
        return {}
    given = {name: getattr(body, name) for name in SHOWN & set(body.__struct_fields__)}
    if attribution := given.get("attribution"):  # whose target is a text
        given["attribution"] = {k: v for k, v in structs.asdict(attribution).items() if k != "target"}
    if variants := given.get("data"):
        given["data"] = [asked_of(variant) for variant in variants]
    if controller := getattr(body, "controller", None):
        with suppress(RequestError):  # which is then what the request ended with
            given["feature_edits"], given["abort_when"] = read_controller(controller)
    return {name: given[name] for name in sorted(given) if given[name] not in (None, (), False)}


def encode(record: AuditRecord) -> str:
    """The record as a line of JSON."""
    return msgspec.json.encode(record, enc_hook=str).decode()  # a parameter may be a Path


def _answer(answer: Answer, account: Account, *, with_text: bool) -> AuditedAnswer:
    assert account.served is not None
    text = decode(account.served.tokenizer, list(answer.token_ids)) if with_text else None
    return AuditedAnswer(finish_reason=answer.finish_reason, tokens=answer.num_tokens, text=text)


def _without_text(receipt: SteeringReceipt) -> SteeringReceipt:
    return structs.replace(receipt, abort=[structs.replace(one, token="") for one in receipt.abort])
