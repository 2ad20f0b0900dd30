"""The real application over an engine that says what it is told to."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

import numpy as np
import pytest
import torch
from litestar.testing import TestClient
from openai import OpenAI
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from steersman.types import Feature
from steersman_catalog import UnknownFeatureError
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
from steersman_server.served import ServedModel

H_MAX = [10.0, 4.0, 0.0, 8.0, 2.0]
MAX_POSITIONS = 300
Page = tuple[list[Feature], bool]


class FakeEngine:
    """Answers with its script, and writes down what it was asked.

    A token's log probability is minus its place in the answer; feature 3 fires on every token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.info = EngineInfo(d_sae=len(H_MAX), max_positions=MAX_POSITIONS, vocab_size=len(tokenizer))
        self.tokenizer = tokenizer
        self.script: list[int | Exception] = []
        self.generated: list[GenerateRequest] = []
        self.attributed: list[AttributionRequest] = []
        self.inspected: list[InspectRequest] = []
        self.num_given = 0
        self.num_closed = 0
        self.aborts_at: int | None = None
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
                reports = [EditReport(r.tokens_edited + 1, r.activation_sum + 3.0) for r in reports]
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


class FakeCatalog:
    """Features with those h_max; a search finds what the label holds."""

    def __init__(self, h_max: Sequence[float] = H_MAX) -> None:
        self._h_max = h_max

    def __len__(self) -> int:
        return len(self._h_max)

    def h_max(self) -> np.ndarray:
        return np.array(self._h_max, dtype=np.float32)

    def feature(self, index: int) -> Feature:
        return self.features([index])[0]

    def features(self, indices: Sequence[int]) -> list[Feature]:
        for index in indices:
            if not 0 <= index < len(self._h_max):
                raise UnknownFeatureError(index, len(self._h_max))
        return [
            Feature(index=i, label=f"label {i}", label_kind="statistical", h_max=self._h_max[i], density=0.1)
            for i in indices
        ]

    def list(self, *, limit: int, after: int | None = None) -> Page:
        self.features([] if after is None else [after])
        rest = range(0 if after is None else after + 1, len(self._h_max))
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
