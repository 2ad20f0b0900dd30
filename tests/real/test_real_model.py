"""The whole line on real weights."""

import asyncio
from pathlib import Path

import msgspec
import pytest
import torch

from steersman_engine.attribution import attribute
from steersman_engine.bundle import SHIPPED, Bundle, BundleError
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import AttributionRequest, GenerateRequest, Sampling
from steersman_engine.host import HostModel
from steersman_engine.prompt import Prompt, chat_template_sha256, render
from steersman_engine.self_test import check_fit, check_layer, text_ids
from steersman_engine.serving import Loaded
from steersman_engine.steering import Steering
from steersman_engine.whole_pass import finish

pytestmark = pytest.mark.real

QUESTIONS = (
    "What is the capital of France?",
    "How do I make a cup of tea?",
    "Write a haiku about the sea.",
    "Explain photosynthesis in one sentence.",
    "What is 12 plus 30?",
    "Who wrote Hamlet?",
    "Give me a recipe for pancakes.",
    "How do I reverse a list in Python?",
    "Tell me a joke.",
    "Why is the sky blue?",
    "Translate 'good morning' into Spanish.",
    "What should I pack for a hike?",
    "Describe a sunset.",
    "What does HTTP stand for?",
    "How do I start a business?",
    "Name three planets.",
    "What is a good name for a cat?",
    "How can I sleep better?",
    "Summarize the plot of Cinderella.",
    "What is machine learning?",
)


def host_of(loaded: Loaded) -> HostModel:
    return loaded.engine._host


def asked(loaded: Loaded, question: str) -> Prompt:
    return render(loaded.tokenizer, [{"role": "user", "content": question}], generate=True)


def answer_to(
    loaded: Loaded, prompt: Prompt, *, max_tokens: int, edits: tuple[AffineEdit, ...] = ()
) -> list[int]:
    request = GenerateRequest(
        prompt=prompt, max_tokens=max_tokens, sampling=Sampling(temperature=0), edits=edits
    )

    async def collect() -> list[int]:
        events = loaded.engine.generate(request)
        return [event.token_id async for event in events if event.token_id is not None]

    return asyncio.run(collect())


def test_without_edits_the_answer_is_the_plain_model_s(loaded: Loaded) -> None:
    prompt = asked(loaded, QUESTIONS[0])
    plain = host_of(loaded).model.generate(
        torch.tensor([prompt.token_ids]), max_new_tokens=16, do_sample=False, eos_token_id=None
    )
    assert answer_to(loaded, prompt, max_tokens=16) == plain[0, len(prompt) :].tolist()


def test_the_shipped_metrics_are_those_promised() -> None:
    metrics = Bundle(SHIPPED / "smollm2-135m").manifest.metrics
    rebuilt, loss = metrics["reconstruction"]["all"], metrics["next_token"]["all"]
    assert rebuilt["l0"] <= 60
    assert rebuilt["explained_variance"] >= 0.80
    assert loss["fidelity_zero"] <= 0.03
    assert metrics["usage"]["dead"] < 0.02


def test_the_first_position_is_a_sink_and_no_other(loaded: Loaded) -> None:
    from steersman_engine.sinks import is_sink

    bundle = Bundle(SHIPPED / "smollm2-135m")
    resid = host_of(loaded).residual(torch.tensor([asked(loaded, QUESTIONS[0]).token_ids]))[0]
    assert is_sink(resid, bundle.manifest.sink_norm).nonzero().flatten().tolist() == [0]


def test_a_bundle_on_the_wrong_layer_is_refused(loaded: Loaded) -> None:
    bundle = Bundle(SHIPPED / "smollm2-135m")
    right = host_of(loaded)
    wrong = HostModel(right.model, 17, name="wrong")
    with pytest.raises(BundleError, match="reconstructs layer 18 better"):
        check_layer(wrong, bundle.sae(), text_ids(loaded.tokenizer), bundle.manifest.sink_norm)


def test_a_bundle_for_other_weights_is_refused(loaded: Loaded) -> None:
    bundle = Bundle(SHIPPED / "smollm2-135m")
    other = msgspec.structs.replace(bundle.manifest, model_fingerprint="0" * 64)
    template = chat_template_sha256(loaded.tokenizer)
    with pytest.raises(BundleError, match="other weights"):
        check_fit(host_of(loaded), loaded.tokenizer, bundle.sae(), other, template)


def test_an_altered_bundle_is_refused(tmp_path: Path) -> None:
    for file in (SHIPPED / "smollm2-135m").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "sae.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(BundleError, match="altered"):
        Bundle(tmp_path)


def test_attribution_predicts_what_ablating_a_feature_does(loaded: Loaded) -> None:
    """Top features by `gradient_x_activation`, against setting each to 0 at every position."""
    host, engine = host_of(loaded), loaded.engine
    sae, sink_norm = engine._sae, engine._sink_norm
    predicted, true = [], []
    for question in QUESTIONS:
        prompt = asked(loaded, question)
        answer = tuple(answer_to(loaded, prompt, max_tokens=4))
        request = AttributionRequest(
            prompt=prompt, answer=answer, tokens=(3,), top_k=8, method="gradient_x_activation"
        )
        with torch.no_grad():
            (scores,) = finish(attribute(host, sae, sink_norm, request, engine._mean_W_U))
        ids = torch.tensor([prompt.token_ids + answer[:3]])
        for score in scores.features:
            steering = Steering.of((AffineEdit(score.feature, 0.0, 0.0),), prompt, sae, sink_norm)
            assert steering is not None
            logits = host.logits(ids, edit=lambda x, s=steering: s.apply(x[0])[0][None], last=1)[0, -1]
            predicted.append(score.attribution)
            true.append(scores.objective - float(logits[answer[3]] - logits.mean()))
    r = torch.corrcoef(torch.tensor([predicted, true]))[0, 1]
    assert r >= 0.6, f"r = {r:.2f} over {len(true)} features"


def test_numbers_are_split_into_digits_as_smollm_was_trained(loaded: Loaded) -> None:
    ids = loaded.tokenizer("In 1234", add_special_tokens=False)["input_ids"]
    assert [loaded.tokenizer.decode([token]) for token in ids] == ["In", " ", "1", "2", "3", "4"]
