"""Language models for a labelling job, by name: what `steersman label` opens."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import anthropic
import httpx
from msgspec import Struct

from steersman_training.labelling.asking import Asker
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.llm_explainer import LLMExplainer
from steersman_training.labelling.llm_judge import LLMJudge
from steersman_training.labelling.llm_moderator import LLMModerator
from steersman_training.labelling.prices import FREE, load_prices, price_of
from steersman_training.labelling.transports import Transport
from steersman_training.labelling.transports.claude import Claude
from steersman_training.labelling.transports.claude_batches import ClaudeBatches
from steersman_training.labelling.transports.claude_messages import ClaudeMessages
from steersman_training.labelling.transports.claude_model import probe
from steersman_training.labelling.transports.files import Export, Form
from steersman_training.labelling.transports.one_by_one import OneByOne
from steersman_training.labelling.transports.openai_endpoint import OpenAIEndpoint

EXPLAIN_MODEL = "claude-sonnet-5-5"
JUDGE_MODEL = "claude-haiku-5-5"
LOCAL = {"localhost", "127.0.0.1", "::1"}
TIMEOUT_S = 600.0

Backend = Literal["claude", "openai", "export"]
BACKENDS: tuple[Backend, ...] = ("claude", "openai", "export")


class LLMConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How language models are reached."""

    backend: Backend = "claude"
    explain_model: str | None = None
    """None: EXPLAIN_MODEL; `openai` must be told."""
    judge_model: str | None = None
    """None: JUDGE_MODEL, likewise; it moderates, too."""
    base_url: str | None = None
    """Of the service; needed for `openai`, for example http://localhost:8000/v1."""
    effort: str = "low"
    """Of models that have such a setting."""
    concurrency: int = 8
    """Requests at a time, where they are not sent in batches."""
    prices: str | None = None
    """A file of prices over the table that ships."""
    export: str = "requests.jsonl"
    """Where `export` writes."""
    export_form: Form = "anthropic"
    extra: dict[str, Any] = {}
    """Goes into every request of `openai`, for example {"temperature": 0}."""


class LLMBackends:
    """Explainers, judges and moderators over one ledger, until it is closed. Keys are kept nowhere."""

    def __init__(
        self, config: LLMConfig, ledger: Ledger, folder: Path, *, api_key: str | None = None
    ) -> None:
        """`folder` is the job's; without `api_key` it is looked for where the services' own clients do.

        Raises:
            ValueError: `openai` is to be used, and it is not said where.
        """
        if config.backend == "openai" and config.base_url is None:
            raise ValueError("The backend openai needs a base_url, for example http://localhost:8000/v1.")
        self._config, self._ledger, self._folder, self._key = config, ledger, folder, api_key
        self._transports: dict[str, Transport] = {}
        self._open = ExitStack()

    def __enter__(self) -> "LLMBackends":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def explainer(self) -> LLMExplainer:
        """Of the configured model.

        Raises:
            ValueError: None is, and the backend has no default.
        """
        model = self._model("explain_model")
        return LLMExplainer(self._asker(model), model, self._config.backend)

    def judge(self) -> LLMJudge:
        """Of the configured model."""
        model = self._model("judge_model")
        return LLMJudge(self._asker(model), model, self._config.backend)

    def moderator(self) -> LLMModerator:
        """Of the model that judges."""
        model = self._model("judge_model")
        return LLMModerator(self._asker(model), model, self._config.backend)

    def _model(self, setting: Literal["explain_model", "judge_model"]) -> str:
        given: str | None = getattr(self._config, setting)
        if given is None and self._config.backend == "openai":
            raise ValueError(f"The backend openai must be told which model to ask: --llm {setting}=NAME.")
        return given or {"explain_model": EXPLAIN_MODEL, "judge_model": JUDGE_MODEL}[setting]

    def _asker(self, model: str) -> Asker:
        if model not in self._transports:
            self._transports[model] = self._transport(model)
        return Asker(self._ledger, self._transports[model])

    def _transport(self, model: str) -> Transport:
        config, ledger = self._config, self._ledger
        if config.backend == "export":
            return Export(self._folder / config.export, config.export_form, ledger)
        prices = load_prices(Path(config.prices) if config.prices else None)
        if config.backend == "claude":
            price = price_of(model, prices)
            client = self._open.enter_context(
                anthropic.Anthropic(api_key=self._key, base_url=config.base_url, timeout=TIMEOUT_S)
            )
            try:
                can = probe(client, model, config.effort)
            except TypeError as error:  # so the client says that it found no credentials
                raise ValueError(f"There is no key for Claude: set ANTHROPIC_API_KEY. ({error})") from error
            messages = OneByOne(ClaudeMessages(client, can, price), ledger, config.concurrency)
            if not can.batch:
                return messages
            return Claude(ClaudeBatches(client, can, price, ledger), messages, ledger)
        assert config.base_url is not None
        local = urlsplit(config.base_url).hostname in LOCAL
        price = FREE if local and model not in prices else price_of(model, prices)
        key = self._key or os.environ.get("OPENAI_API_KEY")
        endpoint = OpenAIEndpoint(
            self._open.enter_context(httpx.Client(timeout=TIMEOUT_S)),
            config.base_url,
            price,
            api_key=key,
            extra=_plain(config.extra),
        )
        return OneByOne(endpoint, ledger, config.concurrency)


def _plain(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    reserved = {"model", "messages", "response_format"} & extra.keys()
    if reserved:
        raise ValueError(f"{', '.join(sorted(reserved))} in `extra` would replace what the job asks.")
    return extra
