"""The engine's answers against transformers alone, and against a plain hook in float64."""

import pytest
import torch
from tests.engine.conftest import MakeEngine
from tests.engine.tools import ask, ask_all, hooked_logits, prompt_of, reference, request
from torch import Tensor

from steersman_engine.conditions import AllOf, AnyOf, Comparison, FeatureAct, Not
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import GenerateRequest
from steersman_engine.host import HostModel
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.sae import SAE

LONG = (1, *range(30, 60))
STEERED = {
    "set": request(edits=(AffineEdit(4, 0, 60.0),)),
    "add twice, one feature scaled": request(
        prompt=prompt_of(1, 77, 12, 200),
        edits=(AffineEdit(4, 1, 9.0), AffineEdit(9, 1, -7.0), AffineEdit(4, 0.5, 3.0)),
    ),
    "generation only": request(prompt=prompt_of(*LONG), edits=(AffineEdit(7, 0, 40.0, in_prompt=False),)),
    "prompt only": request(prompt=prompt_of(*LONG), edits=(AffineEdit(7, 0, 40.0, in_generation=False),)),
    "one role": request(
        prompt=prompt_of(1, 5, 6, 7, 8, 9, roles=(0, 0, 1, 1, 2, 1)),
        edits=(AffineEdit(3, 0, 30.0, roles=(1,), in_generation=False),),
    ),
    "when": request(
        prompt=prompt_of(*LONG), edits=(AffineEdit(4, 1, 25.0, when=Comparison(9, ">", 0.5)),), max_tokens=16
    ),
    "when not, of two": request(
        prompt=prompt_of(1, 90, 91, 92),
        edits=(
            AffineEdit(4, 0, 12.0),
            AffineEdit(
                4,
                2.0,
                1.0,
                when=AnyOf((Not(Comparison(5, "<=", 0.0)), AllOf((Comparison(6, ">=", FeatureAct(4)),)))),
            ),
        ),
    ),
    "64 edits": request(max_tokens=4, edits=tuple(AffineEdit(f % 40, 1.0, 0.5 + f / 64) for f in range(64))),
}


@pytest.mark.parametrize("length", [1, 3, 8, 40])
def test_without_edits_an_answer_is_generate_s(engine: LocalEngine, tiny_model, length: int) -> None:
    ids = [1, *range(30, 29 + length)]
    expected = tiny_model.generate(torch.tensor([ids]), max_new_tokens=30, do_sample=False, eos_token_id=None)
    found = ask(engine, request(prompt=prompt_of(*ids), max_tokens=30))
    assert found.tokens == expected[0, length:].tolist()


@pytest.mark.parametrize("name", STEERED)
def test_a_steered_answer_is_the_plain_hook_s(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE, name: str
) -> None:
    assert ask(engine, STEERED[name]).tokens == reference(tiny_host, tiny_sae, STEERED[name])


def test_a_batch_of_all_kinds_gives_each_its_own_answer(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    asked: list[GenerateRequest] = []
    for steered in STEERED.values():
        asked += [steered, request(prompt=steered.prompt)]  # and the same prompt, plain
    found = ask_all(engine, asked)
    assert [one.tokens for one in found] == [reference(tiny_host, tiny_sae, one) for one in asked]


def test_a_sink_is_left_alone_wherever_it_stands_in_the_batch(
    make_engine: MakeEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    norms = tiny_host.residual(torch.tensor([LONG]))[0].norm(dim=-1)
    sink_norm = float(norms.median())  # about half of all positions
    engine = make_engine(sink_norm=sink_norm)
    asked = [STEERED["set"], STEERED["when"], request()]
    found = ask_all(engine, asked)
    assert [one.tokens for one in found] == [
        reference(tiny_host, tiny_sae, one, sink_norm=sink_norm) for one in asked
    ]


def test_the_logits_of_a_step_are_the_hook_s(
    make_engine: MakeEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    """Not their order alone: chunked, cached and batched, they agree to what float32 rows allow."""
    engine = make_engine(EngineConfig(num_slots=3, chunk_beside=4, chunk_alone=7))
    seen: list[Tensor] = []
    upper = engine._loop._stepper.forward.upper

    def spy(x: Tensor, batch, keep: Tensor) -> Tensor:
        seen.append(upper(x, batch, keep))
        return seen[-1].clone()

    engine._loop._stepper.forward.upper = spy  # type: ignore[method-assign]
    asked = STEERED["when"]
    tokens = ask(engine, asked).tokens
    found = torch.cat(seen)
    expected = hooked_logits(tiny_host, tiny_sae, asked, [*asked.prompt.token_ids, *tokens], float("inf"))
    torch.testing.assert_close(found, expected[len(asked.prompt) - 1 : -1], rtol=1e-4, atol=1e-4)


def test_a_row_without_edits_is_untouched_to_the_bit(tiny_sae: SAE, tiny_host: HostModel) -> None:
    from steersman_engine.scheduler import Work
    from steersman_engine.step import Outcome, Stepper, Stretch
    from steersman_engine.stream import Caller, Stream
    from steersman_engine.transformers_forward import TransformersForward

    stepper = Stepper(TransformersForward(tiny_host, 3, 64), tiny_sae, float("inf"))
    works = []
    for edits in ((), (AffineEdit(4, 0, 60.0),), ()):
        stream = Stream(request(edits=edits), Caller(None))  # type: ignore[arg-type]
        stream.prepare(tiny_sae, float("inf"), 260, torch.device("cpu"))
        works.append(Work(stream, 0, 0, 0, 1))
    x = torch.randn(3, 32, dtype=torch.float64)
    steered = stepper._steer(x, works, [Stretch(i, 0, 1) for i in range(3)], [Outcome() for _ in works])
    assert torch.equal(steered[[0, 2]], x[[0, 2]])
    assert (steered[1] != x[1]).all()
