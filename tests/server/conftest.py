"""The real application over an engine that says what it is told to."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

import pytest
from litestar.testing import TestClient
from openai import OpenAI
from transformers import PreTrainedTokenizerFast

from steersman.types import Feature
from steersman_catalog import UnknownFeatureError
from steersman_engine.edits import EditReport
from steersman_engine.engine import (
    AttributionRequest,
    Engine,
    EngineInfo,
    FeatureScore,
    GenerateRequest,
    TokenEvent,
    TokenScores,
)
from steersman_engine.host import HostModel
from steersman_engine.local_engine import LocalEngine
from steersman_engine.sae import SAE
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.served import ServedModel

H_MAX = [10.0, 4.0, 0.0, 8.0, 2.0]
MAX_POSITIONS = 300
Page = tuple[list[Feature], bool]


class FakeEngine:
    """Answers with its script, and writes down what it was asked."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.info = EngineInfo(d_sae=len(H_MAX), max_positions=MAX_POSITIONS)
        self.tokenizer = tokenizer
        self.script: list[int | Exception] = []
        self.generated: list[GenerateRequest] = []
        self.attributed: list[AttributionRequest] = []
        self.num_given = 0
        self.num_closed = 0
        self.says("Hello!")

    def says(self, text: str, *then: Exception) -> None:
        self.script = [*self.tokenizer.encode(text, add_special_tokens=False), *then]

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        self.generated.append(request)
        reports = [EditReport() for _ in request.edits]
        try:
            for step in self.script[: request.max_tokens]:
                if isinstance(step, Exception):
                    raise step
                reports = [EditReport(r.tokens_edited + 1, r.activation_sum + 3.0) for r in reports]
                self.num_given += 1
                yield TokenEvent(token_id=step, reports=reports)
            cut = len(self.script) > request.max_tokens
            yield TokenEvent(finish="length" if cut else "stop", reports=reports)
        finally:
            self.num_closed += 1

    async def attribute(self, request: AttributionRequest) -> list[TokenScores]:
        self.attributed.append(request)
        return [TokenScores(token, 1.5, [FeatureScore(3, -0.5, 2.0)]) for token in request.tokens]

    async def feature_acts(self, prompt, edits, features) -> list[list[float]]:
        raise NotImplementedError

    async def aclose(self) -> None: ...


class FakeCatalog:
    """Features with those h_max; a search finds what the label holds."""

    def __init__(self, h_max: Sequence[float] = H_MAX) -> None:
        self.h_max = h_max

    def __len__(self) -> int:
        return len(self.h_max)

    def feature(self, index: int) -> Feature:
        return self.features([index])[0]

    def features(self, indices: Sequence[int]) -> list[Feature]:
        for index in indices:
            if not 0 <= index < len(self.h_max):
                raise UnknownFeatureError(index, len(self.h_max))
        return [
            Feature(index=i, label=f"label {i}", label_kind="statistical", h_max=self.h_max[i], density=0.1)
            for i in indices
        ]

    def list(self, *, limit: int, after: int | None = None) -> Page:
        self.features([] if after is None else [after])
        rest = range(0 if after is None else after + 1, len(self.h_max))
        return self.features(rest[:limit]), len(rest) > limit

    def search(self, query: str, *, limit: int, after: int | None = None) -> Page:
        if not query:
            raise ValueError("The query '' has no word to search for.")
        return [f for f in self.list(limit=100)[0] if query in f.label][:limit], False

    def close(self) -> None: ...


def serve(tokenizer: PreTrainedTokenizerFast, engine: Engine, catalog: FakeCatalog) -> ServedModel:
    return ServedModel(
        "org/tiny",
        tokenizer,
        engine,
        catalog,  # pyright: ignore[reportArgumentType]
        bundle="tiny@12345678",
        layer=1,
        d_sae=len(catalog),
        created=1_700_000_000,
    )


@pytest.fixture
def engine(tiny_tokenizer: PreTrainedTokenizerFast) -> FakeEngine:
    return FakeEngine(tiny_tokenizer)


@pytest.fixture
def served(engine: FakeEngine, tiny_tokenizer: PreTrainedTokenizerFast) -> ServedModel:
    return serve(tiny_tokenizer, engine, FakeCatalog())


@pytest.fixture
def really_served(tiny_tokenizer, tiny_host: HostModel, tiny_sae: SAE) -> Iterator[ServedModel]:
    """A tiny random model behind the real engine."""
    engine = LocalEngine(tiny_host, tiny_sae, sink_norm=float("inf"))
    yield serve(tiny_tokenizer, engine, FakeCatalog([4.0] * tiny_sae.d_sae))
    asyncio.run(engine.aclose())


@pytest.fixture
def http(served: ServedModel) -> Iterator[TestClient]:
    with TestClient(create_app(served, ServerConfig()), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def openai(http: TestClient) -> OpenAI:
    """OpenAI's own client, which refuses an answer that is not of its types."""
    return OpenAI(
        base_url="http://testserver.local/v1",
        api_key="none",
        max_retries=0,
        http_client=http,  # pyright: ignore[reportArgumentType]
        _strict_response_validation=True,
    )
