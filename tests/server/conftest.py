"""The real application over an engine that says what it is told to."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from litestar.testing import TestClient
from openai import OpenAI
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from steersman_catalog import Catalog
from steersman_catalog.rows import (
    EchoRow,
    FeatureRow,
    LabelRow,
    ModerationRow,
    NeighbourRow,
    Row,
    WordRow,
)
from steersman_catalog.writer import write_catalog
from steersman_engine.edits import AffineEdit, EditReport
from steersman_engine.engine import (
    Abort,
    ActiveFeature,
    AttributionRequest,
    Engine,
    EngineInfo,
    FeatureScore,
    GenerateRequest,
    InspectRequest,
    TokenEvent,
    TokenFeatures,
    TokenLogprob,
    TokenLogprobs,
    TokenScores,
)
from steersman_engine.host import HostModel
from steersman_engine.local_engine import LocalEngine
from steersman_engine.prompt import Prompt
from steersman_engine.sae import SAE
from steersman_engine.stats import EngineStats
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.listen import Server
from steersman_server.served import ServedModel

from .made_up import ANSWERS, ASKED, answers_table

H_MAX = [10.0, 4.0, 0.0, 8.0, 2.0]
MAX_POSITIONS = 300
REFUSED = 4
"""The feature that moderation forbids to steer."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What became of the requests that were made up, where many were asked for."""
    if ASKED and ANSWERS:
        terminalreporter.write_line(answers_table())


class FakeEngine:
    """Answers with its script, and writes down what it was asked.

    A token's log probability is minus its place in the answer; feature 3 fires on every token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.info = EngineInfo(d_sae=len(H_MAX), max_positions=MAX_POSITIONS, vocab_size=len(tokenizer))
        self.tokenizer = tokenizer
        self.reset()

    def reset(self) -> None:
        """As new: the application that talks to it is made once for all tests."""
        self.script: list[int | Exception] = []
        self.generated: list[GenerateRequest] = []
        self.attributed: list[AttributionRequest] = []
        self.inspected: list[InspectRequest] = []
        self.num_given = 0
        self.num_closed = 0
        self.aborts_at: int | None = None
        self.probes_fire = False
        self.says("Hello!")

    def says(self, text: str, *then: Exception) -> None:
        self.script = [*self.tokenizer.encode(text, add_special_tokens=False), *then]

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        self.generated.append(request)
        reports = [EditReport() for _ in request.edits]
        start = len(request.prompt)
        answer: list[int] = []
        try:
            for place, step in enumerate(self.script[: request.max_tokens]):
                if isinstance(step, Exception):
                    raise step
                if request.abort_when and place == self.aborts_at:
                    yield TokenEvent(finish="abort", abort=Abort(0, start + place - 1), reports=reports)
                    return
                if request.mask is not None:
                    step = self._masked(request, answer, step)
                    if step in request.stop_token_ids:
                        break
                answer.append(step)
                reports = [
                    EditReport(r.tokens_edited + 1, r.activation_sum + 3.0)
                    if self.probes_fire or not edit.is_probe
                    else r
                    for r, edit in zip(reports, request.edits, strict=True)
                ]
                self.num_given += 1
                yield TokenEvent(
                    token_id=step,
                    logprobs=self._logprobs(step, place, request.logprobs),
                    features=self._features(start + place - 1) if request.watch else None,
                    reports=reports,
                )
            cut = len(self.script) > request.max_tokens
            yield TokenEvent(
                finish="length" if cut else "stop",
                features=self._features(start + len(answer) - 1) if request.watch else None,
                reports=reports,
            )
        finally:
            self.num_closed += 1

    def _masked(self, request: GenerateRequest, answer: list[int], wanted: int) -> int:
        """The wanted token, or the first that may come."""
        assert request.mask is not None
        allowed = request.mask.allowed(answer)
        if allowed is None or allowed[wanted]:
            return wanted
        return int(allowed.nonzero()[0])

    def _logprobs(self, token_id: int, place: int, num_top: int | None) -> TokenLogprobs | None:
        if num_top is None:
            return None
        others = [token_id, *range(10, 30)][:num_top]
        return TokenLogprobs(token_id, -float(place), [TokenLogprob(t, -float(place)) for t in others])

    def _features(self, position: int) -> TokenFeatures:
        return TokenFeatures(position, False, [ActiveFeature(3, 4.0)])

    async def attribute(self, request: AttributionRequest) -> list[TokenScores]:
        self.attributed.append(request)
        return [TokenScores(token, 1.5, [FeatureScore(3, -0.5, 2.0)]) for token in request.tokens]

    async def inspect(self, request: InspectRequest) -> list[TokenFeatures]:
        """Feature 1 fires on the letter a with 2.0, feature 3 on all with 1.0; position 0 is a sink."""
        self.inspected.append(request)
        (a,) = self.tokenizer.encode("a", add_special_tokens=False)
        found = []
        for position, token_id in enumerate(request.prompt.token_ids):
            active = [ActiveFeature(1, 2.0)] * (token_id == a) + [ActiveFeature(3, 1.0)]
            asked = [f for f in active if request.features is None or f.feature in request.features]
            found.append(TokenFeatures(position, position == 0, asked if position else []))
        return found

    async def logits(self, prompt: Prompt, edits: tuple[AffineEdit, ...]) -> Tensor:
        """Token `i` has logit `i / 100`; each edit adds 5 to the letter a."""
        logits = torch.arange(len(self.tokenizer)) / 100
        (a,) = self.tokenizer.encode("a", add_special_tokens=False)
        logits[a] += 5 * len(edits)
        return logits

    async def score(self, prompt: Prompt, edits: tuple[AffineEdit, ...], num_top: int) -> list[TokenLogprobs]:
        return [
            TokenLogprobs(token_id, -0.5, [TokenLogprob(token_id, -0.5)][:num_top])
            for token_id in prompt.token_ids[1:]
        ]

    def stats(self) -> EngineStats:
        return EngineStats(slots=4, generated_tokens_total=self.num_given)

    async def aclose(self) -> None: ...


def make_catalog(path: Path, h_max: Sequence[float]) -> Catalog:
    """Features with those h_max; 0, 1 and 3 say the same, 3 is flagged, and the last may not be steered."""
    rows: list[Row] = []
    for index, value in enumerate(h_max):
        rows.append(
            FeatureRow(
                feature=index,
                h_max=value,
                density=0.1,
                mean_activation=value / 2,
                num_documents=9,
                flags=["special_tokens"] if index == 3 else [],
            )
        )
        rows.append(
            LabelRow(
                label=index,
                feature=index,
                text=f"label {index}",
                kind="mixed",
                explainer="statistical",
                shown=True,
            )
        )
        rows.append(WordRow(feature=index, text=f"word{index}", weight=1.0))
    rows += [EchoRow(feature=index, echo=0) for index in (0, 1, 3)]
    rows += [
        NeighbourRow(feature=0, space="decoder", rank=rank, neighbour=near, similarity=0.9 - 0.1 * rank)
        for rank, near in enumerate((3, 1))
    ]
    rows.append(
        ModerationRow(
            subject="feature",
            id=REFUSED,
            feature=REFUSED,
            category="harm",
            action="refuse",
            evidence="e",
            source="s",
        )
    )
    write_catalog(path, {"model": "tiny", "layer": "1"}, rows)
    return Catalog.open(path)


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    catalog = make_catalog(tmp_path_factory.mktemp("small") / "catalog.duckdb", H_MAX)
    yield catalog
    catalog.close()


@pytest.fixture(scope="session")
def wide_catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """One for the random SAE of the real engine."""
    catalog = make_catalog(tmp_path_factory.mktemp("wide") / "catalog.duckdb", [4.0] * 40)
    yield catalog
    catalog.close()


def serve(tokenizer: PreTrainedTokenizerFast, engine: Engine, catalog: Catalog) -> ServedModel:
    return ServedModel(
        "org/tiny",
        tokenizer,
        engine,
        catalog,
        bundle="tiny@12345678",
        layer=1,
        d_sae=len(catalog),
        created=1_700_000_000,
    )


@pytest.fixture(scope="session")
def lasting_engine(tiny_tokenizer: PreTrainedTokenizerFast) -> FakeEngine:
    return FakeEngine(tiny_tokenizer)


@pytest.fixture
def engine(lasting_engine: FakeEngine) -> FakeEngine:
    lasting_engine.reset()
    return lasting_engine


@pytest.fixture(scope="session")
def served(
    lasting_engine: FakeEngine, tiny_tokenizer: PreTrainedTokenizerFast, catalog: Catalog
) -> ServedModel:
    return serve(tiny_tokenizer, lasting_engine, catalog)


@pytest.fixture
def really_served(
    tiny_tokenizer, tiny_host: HostModel, tiny_sae: SAE, wide_catalog: Catalog
) -> Iterator[ServedModel]:
    """A tiny random model behind the real engine."""
    engine = LocalEngine(tiny_host, tiny_sae, sink_norm=float("inf"))
    yield serve(tiny_tokenizer, engine, wide_catalog)
    asyncio.run(engine.aclose())


@pytest.fixture(scope="session")
def client_with(served: ServedModel) -> Callable[..., TestClient]:
    """Makes a client of the application with some settings, without a socket, by one of its own names."""

    def make(**settings) -> TestClient:
        app = create_app(served, ServerConfig(**settings))
        return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    return make


@pytest.fixture(scope="session")
def lasting_http(client_with: Callable[..., TestClient]) -> Iterator[TestClient]:
    with client_with() as client:
        yield client


@pytest.fixture
def http(lasting_http: TestClient, engine: FakeEngine) -> TestClient:
    """The application without a socket, as new."""
    for variant in lasting_http.get("/v1/variants").json()["data"]:
        lasting_http.delete(f"/v1/variants/{variant['name']}")
    engine.reset()
    return lasting_http


@pytest.fixture(scope="session")
def lasting_url(served: ServedModel) -> Iterator[str]:
    """The same application on a free port."""
    config = ServerConfig(port=0, graceful_shutdown_s=1)
    server = Server(create_app(served, config), config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(20)
    assert server.url is not None
    yield server.url
    server.should_exit = True
    thread.join(20)


@pytest.fixture
def serving() -> Iterator[Callable[..., str]]:
    """Serves a model with some settings on a free port, until the test is over; gives the address."""
    with contextlib.ExitStack() as running:

        def start(served: ServedModel, **settings) -> str:
            config = ServerConfig(port=0, graceful_shutdown_s=1, **settings)
            server = Server(create_app(served, config), config)
            thread = threading.Thread(target=server.run)
            thread.start()
            running.callback(thread.join, 20)
            running.callback(setattr, server, "should_exit", True)
            assert server.listening.wait(20)
            assert server.url is not None
            return server.url

        yield start


class EndlessEngine:
    """Answers "aaa…" until it is closed, or falls silent after some."""

    def __init__(self, fake: FakeEngine, num_tokens: int | None = None) -> None:
        self.info, self.stats = fake.info, fake.stats
        self.started, self.closed = threading.Event(), threading.Event()
        (self._token_id,) = fake.tokenizer.encode("a", add_special_tokens=False)
        self._num_tokens = num_tokens

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        given = 0
        try:
            self.started.set()
            while True:
                while given == self._num_tokens:
                    await asyncio.sleep(60)  # a silent engine
                given += 1
                yield TokenEvent(token_id=self._token_id)
                await asyncio.sleep(0)
        finally:
            self.closed.set()


@pytest.fixture
def endless_engine(engine: FakeEngine) -> EndlessEngine:
    return EndlessEngine(engine)


def openai_on(http: TestClient) -> OpenAI:
    """OpenAI's own client, which refuses an answer that is not of its types."""
    return OpenAI(
        base_url="http://127.0.0.1/v1",
        api_key="none",
        max_retries=0,
        http_client=http,  # pyright: ignore[reportArgumentType]
        _strict_response_validation=True,
    )


@pytest.fixture
def openai(http: TestClient) -> OpenAI:
    """The same, of the application here."""
    return openai_on(http)
