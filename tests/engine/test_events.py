"""What comes with a token: log probabilities, features, and what a mask allowed."""

from collections.abc import Sequence

import pytest
import torch
from tests.engine.conftest import MakeEngine
from tests.engine.tools import NO_SINKS, ask, hooked_logits, prompt_of, request
from torch import Tensor

from steersman_engine.edits import AffineEdit
from steersman_engine.engine import RequestTooLargeError, Sampling
from steersman_engine.host import HostModel
from steersman_engine.local_engine import LocalEngine
from steersman_engine.sae import SAE

PUSH = (AffineEdit(4, 0, 60.0),)


def test_logprobs_are_the_log_softmax_of_the_steered_model(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    """Before temperature, penalties and bias, as OpenAI gives them."""
    sampling = Sampling(temperature=0.3, seed=1, presence_penalty=1.0, logit_bias={70: 5.0})
    asked = request(edits=PUSH, logprobs=3, sampling=sampling)
    answer = ask(engine, asked)
    logits = hooked_logits(tiny_host, tiny_sae, asked, [1, 40, 50, *answer.tokens], NO_SINKS)
    for event, expected in zip(answer.events[:-1], logits[2:].log_softmax(-1), strict=False):
        assert event.logprobs is not None and event.token_id is not None
        assert event.logprobs.logprob == pytest.approx(float(expected[event.token_id]), abs=1e-4)
        assert [one.token_id for one in event.logprobs.top] == expected.topk(3).indices.tolist()
        for one in event.logprobs.top:
            assert one.logprob == pytest.approx(float(expected[one.token_id]), abs=1e-4)


def test_no_more_logprobs_than_there_may_be(engine: LocalEngine) -> None:
    with pytest.raises(RequestTooLargeError, match="21 log probabilities"):
        ask(engine, request(logprobs=21))


@pytest.mark.parametrize("edits", [(), PUSH])
def test_every_token_of_an_answer_is_watched(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE, edits: tuple[AffineEdit, ...]
) -> None:
    answer = ask(engine, request(edits=edits, watch=5))
    found = [event.features for event in answer.events]
    assert found[0] is None  # the first token has not been read yet
    resid = tiny_host.residual(torch.tensor([[1, 40, 50, *answer.tokens]]))[0]
    acts = tiny_sae.encode(resid)
    if edits:
        acts[:, 4] = 60.0
    for index, features in enumerate(found[1:]):
        assert features is not None and features.position == 3 + index
        values, best = acts[3 + index].topk(5)
        assert [one.feature for one in features.features] == best.tolist()
        assert [one.activation for one in features.features] == pytest.approx(values.tolist(), rel=1e-5)
    assert len(found) == len(answer.tokens) + 1


def test_watching_changes_neither_answer_nor_reports(engine: LocalEngine) -> None:
    plain, watched = ask(engine, request(edits=PUSH)), ask(engine, request(edits=PUSH, watch=5))
    assert watched.tokens == plain.tokens
    assert watched.last.reports == plain.last.reports


def test_a_watched_sink_has_no_features(make_engine: MakeEngine) -> None:
    engine = make_engine(sink_norm=0.0)  # everything is one
    features = ask(engine, request(watch=5)).last.features
    assert features is not None and features.is_sink and features.features == []


class Alternating:
    """Even tokens, then odd ones; it writes down what it was shown."""

    def __init__(self) -> None:
        self.shown: list[list[int]] = []

    def allowed(self, answer: Sequence[int]) -> Tensor | None:
        self.shown.append(list(answer))
        return torch.arange(259) % 2 == len(answer) % 2


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_mask_is_asked_once_a_token_and_obeyed(engine: LocalEngine, temperature: float) -> None:
    mask = Alternating()
    tokens = ask(engine, request(mask=mask, sampling=Sampling(temperature=temperature), edits=PUSH)).tokens
    assert [token % 2 for token in tokens] == [0, 1] * 6
    assert mask.shown == [tokens[:count] for count in range(12)]


def test_penalties_count_the_answer_alone_across_steps(engine: LocalEngine) -> None:
    plain = ask(engine, request(max_tokens=40)).tokens
    assert len(set(plain)) < 40  # this model repeats itself
    sampling = Sampling(temperature=0, presence_penalty=1e6)
    assert len(set(ask(engine, request(max_tokens=40, sampling=sampling)).tokens)) == 40


def test_a_stop_token_is_not_part_of_the_answer(engine: LocalEngine) -> None:
    tokens = ask(engine, request()).tokens
    stop = tokens[5]
    answer = ask(engine, request(stop_token_ids=frozenset({stop})))
    assert answer.tokens == tokens[: tokens.index(stop)]
    assert answer.last.finish == "stop"


def test_an_answer_that_stops_at_once_is_empty(engine: LocalEngine) -> None:
    (first, *_) = ask(engine, request()).tokens
    assert ask(engine, request(prompt=prompt_of(1, 40, 50), stop_token_ids=frozenset({first}))).tokens == []
