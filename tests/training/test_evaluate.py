import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import msgspec
import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from steersman_engine.host import HostModel
from steersman_engine.prompt import chat_template_sha256
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink, sink_norm_of
from steersman_training.chats import Chat
from steersman_training.documents import Document, documents
from steersman_training.evaluate import evaluate, evaluate_file, next_token, reconstruction, usage
from steersman_training.evaluation_set import Batch, EvaluationConfig, batches
from steersman_training.manifest import Manifest
from steersman_training.measures import usages
from steersman_training.metrics import Metrics
from steersman_training.untrained import untrained_like

NO_SINKS = 1e9
CONFIG = EvaluationConfig(source="made up", tokens=600, usage_tokens=1500, max_length=64, batch_tokens=512)


@pytest.fixture
def chosen(tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat]) -> list[Document]:
    return list(documents(chats, "evaluation", tiny_tokenizer, max_length=64, seed=0))


@pytest.fixture
def held(tiny_host: HostModel, chosen: list[Document]) -> list[Batch]:
    return list(batches(tiny_host, chosen, NO_SINKS, batch_tokens=256))


def kept_residuals(held: list[Batch]) -> Tensor:
    return torch.cat([batch.resid[batch.kept] for batch in held]).double()


def test_fidelity_is_0_for_a_perfect_reconstruction(tiny_host: HostModel, held: list[Batch]) -> None:
    loss = next_token(tiny_host, held, lambda resid: resid)["all"]
    measured = (loss.delta_ce, loss.kl, loss.fidelity_zero, loss.fidelity_mean)
    assert measured == pytest.approx((0, 0, 0, 0), abs=1e-6)


def test_fidelity_is_1_for_what_reconstructs_zero(tiny_host: HostModel, held: list[Batch]) -> None:
    loss = next_token(tiny_host, held, torch.zeros_like)["all"]
    assert loss.fidelity_zero == pytest.approx(1)


def test_fidelity_is_1_for_what_reconstructs_the_mean(tiny_host: HostModel, held: list[Batch]) -> None:
    mean = kept_residuals(held).mean(dim=0).float()
    loss = next_token(tiny_host, held, lambda resid: mean.expand_as(resid))["all"]
    assert loss.fidelity_mean == pytest.approx(1, abs=1e-4)


def test_the_plain_cross_entropy_is_that_of_transformers_on_one_document_at_a_time(
    tiny_host: HostModel, held: list[Batch], chosen: list[Document]
) -> None:
    total, count = 0.0, 0
    for document in chosen:
        ids = torch.tensor([document.prompt.token_ids])
        total += tiny_host.model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    loss = next_token(tiny_host, held, lambda resid: resid)["all"]
    assert (loss.tokens, loss.ce_plain) == (count, pytest.approx(total / count, rel=1e-5))


def test_the_cross_entropy_with_the_sae_is_that_of_a_hooked_forward_pass(
    tiny_host: HostModel, held: list[Batch], chosen: list[Document], tiny_sae: SAE
) -> None:
    total, kl, count = 0.0, 0.0, 0
    for document in chosen:
        ids = torch.tensor([document.prompt.token_ids])
        plain = tiny_host.logits(ids)[0, :-1].log_softmax(dim=-1)
        rebuilt = tiny_host.logits(ids, edit=lambda resid: tiny_sae(resid).to(resid.dtype))
        rebuilt = rebuilt[0, :-1].log_softmax(dim=-1)
        total -= rebuilt.gather(1, ids[0, 1:, None]).sum().item()
        kl += torch.nn.functional.kl_div(rebuilt, plain, log_target=True, reduction="sum").item()
        count += ids.shape[1] - 1
    loss = next_token(tiny_host, held, tiny_sae)["all"]
    assert (loss.ce_sae, loss.kl) == pytest.approx((total / count, kl / count), rel=1e-5)


def test_sinks_are_neither_replaced_nor_counted(
    tiny_model: LlamaForCausalLM, chosen: list[Document], tiny_sae: SAE
) -> None:
    host = HostModel(tiny_model, 1, name="tiny")
    tiny_model.model.embed_tokens.weight[1] *= 1000  # makes `<|im_start|>` a sink
    first = host.residual(torch.tensor([chosen[0].prompt.token_ids]))
    sink_norm = sink_norm_of(first.norm(dim=-1))
    held = list(batches(host, chosen, sink_norm, batch_tokens=256))
    for batch in held:
        assert torch.equal(batch.kept, batch.real & (batch.token_ids != 1))
    no_sinks = sum(int(batch.kept.sum()) for batch in held)
    assert reconstruction(tiny_sae, held)["all"].tokens == no_sinks
    sinks_spoilt = next_token(
        host, held, lambda resid: torch.where(is_sink(resid, sink_norm)[..., None], torch.nan, resid)
    )
    assert sinks_spoilt["all"].fidelity_zero == pytest.approx(0, abs=1e-6)


def test_explained_variance_is_that_of_the_float64_formula(held: list[Batch], tiny_sae: SAE) -> None:
    x = kept_residuals(held)
    x_hat = tiny_sae.double()(x)
    expected = 1 - ((x - x_hat) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    found = reconstruction(tiny_sae.float(), held)["all"].explained_variance
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_l0_mse_and_cosine_are_means_over_tokens(held: list[Batch], tiny_sae: SAE) -> None:
    x = kept_residuals(held).float()
    acts = tiny_sae.encode(x)
    x_hat = tiny_sae.decode(acts)
    found = reconstruction(tiny_sae, held)["all"]
    cosine = ((x * x_hat).sum(-1) / x.norm(dim=-1) / x_hat.norm(dim=-1)).mean().item()
    mse = torch.nn.functional.mse_loss(x_hat, x).item()
    l0 = acts.count_nonzero().item() / len(x)
    assert (found.l0, found.mse, found.cosine) == pytest.approx((l0, mse, cosine), rel=1e-5)


def test_roles_add_up_to_all_and_so_do_content_and_template(
    tiny_host: HostModel, held: list[Batch], tiny_sae: SAE
) -> None:
    rebuilt = reconstruction(tiny_sae, held)
    losses = next_token(tiny_host, held, tiny_sae)
    assert set(rebuilt) == set(losses) == {"all", "user", "assistant", "content", "special"}
    for both in (("user", "assistant"), ("content", "special")):
        for found in (rebuilt, losses):
            assert found["all"].tokens == sum(found[part].tokens for part in both)
        summed = sum(losses[part].ce_sae * losses[part].tokens for part in both)
        assert losses["all"].ce_sae == pytest.approx(summed / losses["all"].tokens)


def test_a_feature_that_never_fires_is_dead(held: list[Batch], tiny_sae: SAE) -> None:
    tiny_sae.threshold[7] = 1e6
    live = (tiny_sae.encode(kept_residuals(held)) > 0).any(dim=0)
    found = usage(tiny_sae, held, ("evaluation",))
    assert not live[7]
    assert (found.num_dead, found.dead) == ((~live).sum(), pytest.approx((~live).float().mean().item()))


def test_live_features_are_all_in_the_density_histogram(held: list[Batch], tiny_sae: SAE) -> None:
    tiny_sae.threshold[7] = 1e6
    tiny_sae.b_enc[8] = 1e6  # active everywhere: log10 density 0
    found = usage(tiny_sae, held, ("evaluation",))
    assert sum(found.log10_density_counts) == tiny_sae.d_sae - found.num_dead


def test_the_same_evaluation_twice_gives_the_same_metrics(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tiny_sae: SAE
) -> None:
    first, second = (
        evaluate(tiny_host, tiny_tokenizer, chats, tiny_sae, CONFIG, sae_sha256="s") for _ in range(2)
    )
    assert first == second


def test_usage_is_measured_on_more_tokens_than_the_rest(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tiny_sae: SAE
) -> None:
    metrics = evaluate(tiny_host, tiny_tokenizer, chats, tiny_sae, CONFIG, sae_sha256="s")
    assert metrics.usage.tokens >= CONFIG.usage_tokens > metrics.reconstruction["all"].tokens


def test_an_sae_of_another_width_is_refused(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat]
) -> None:
    rows = torch.eye(16)
    zeros = torch.zeros(16)
    sae = SAE(W_enc=rows, b_enc=zeros, W_dec=rows, b_dec=zeros, threshold=zeros)
    with pytest.raises(ValueError, match="reads 16 dimensions; tiny has 32"):
        evaluate(tiny_host, tiny_tokenizer, chats, sae, CONFIG, sae_sha256="s")


def evaluated(
    host: HostModel, tokenizer: PreTrainedTokenizerFast, sae: SAE, folder: Path, *, layer: int
) -> Metrics:
    """Of a file beside a `train.json` that says it was trained on `layer`."""
    lines = []
    for number in range(200):
        messages = [{"role": "user", "content": f"Question {number}"}]
        lines.append(json.dumps({"id": f"chat{number}_0", "messages": messages}))
    source = folder / "chats.jsonl"
    source.write_text("\n".join(lines))
    sae.save(folder / "sae.safetensors")
    harvest = Manifest(
        model="tiny",
        fingerprint=host.fingerprint(),
        chat_template_sha256=chat_template_sha256(tokenizer),
        layer=layer,
        d_model=32,
        source=str(source),
        seed=0,
        max_length=64,
        target_tokens=1,
        sink_norm=1234.5,
    )
    facts = msgspec.json.encode({"harvest": harvest, "other": "things"})
    (folder / "train.json").write_bytes(facts)
    config = replace(CONFIG, source=str(source))
    out = folder / "metrics.json"
    return evaluate_file(host, tokenizer, folder / "sae.safetensors", config, out, cache=folder)


def test_a_file_is_evaluated_with_the_sink_norm_it_was_trained_with(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, tiny_sae: SAE, tmp_path: Path
) -> None:
    metrics = evaluated(tiny_host, tiny_tokenizer, tiny_sae, tmp_path, layer=1)
    assert metrics.sink_norm == 1234.5


def test_the_metrics_file_holds_what_was_measured(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, tiny_sae: SAE, tmp_path: Path
) -> None:
    metrics = evaluated(tiny_host, tiny_tokenizer, tiny_sae, tmp_path, layer=1)
    assert msgspec.json.decode((tmp_path / "metrics.json").read_bytes(), type=Metrics) == metrics


def test_a_file_that_was_trained_on_another_layer_is_refused(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, tiny_sae: SAE, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="trained on layer 2 of tiny, and this is layer 1"):
        evaluated(tiny_host, tiny_tokenizer, tiny_sae, tmp_path, layer=2)


def test_an_untrained_sae_has_the_same_l0_and_rebuilds_less(held: list[Batch]) -> None:
    x = kept_residuals(held).float()
    x = x - x.mean(dim=0)
    _, _, rows = torch.linalg.svd(x, full_matrices=False)
    sae = SAE(  # the first ten principal directions, either way
        W_enc=torch.cat([rows[:10], -rows[:10]]).T,
        b_enc=-(kept_residuals(held).float().mean(dim=0) @ torch.cat([rows[:10], -rows[:10]]).T),
        W_dec=torch.cat([rows[:10], -rows[:10]]),
        b_dec=kept_residuals(held).float().mean(dim=0),
        threshold=torch.zeros(20),
    )
    trained = reconstruction(sae, held)["all"]
    random = reconstruction(untrained_like(sae, kept_residuals(held).float(), l0=trained.l0), held)["all"]
    assert random.l0 == pytest.approx(trained.l0, rel=0.05)
    assert 0 < random.explained_variance < trained.explained_variance


def test_the_same_is_measured_of_an_untrained_sae(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tiny_sae: SAE
) -> None:
    metrics = evaluate(tiny_host, tiny_tokenizer, chats, tiny_sae, CONFIG, sae_sha256="s")
    assert metrics.untrained is not None
    assert metrics.untrained.usage.tokens == metrics.usage.tokens
    l0 = metrics.untrained.reconstruction["all"].l0
    assert l0 == pytest.approx(metrics.reconstruction["all"].l0, rel=0.1)


def test_intervals_hold_the_figure_and_narrow_with_more_documents(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tiny_sae: SAE
) -> None:
    widths = []
    for count in (10, 100):
        read = islice(documents(chats, "train", tiny_tokenizer, max_length=64, seed=0), count)
        found = reconstruction(tiny_sae, list(batches(tiny_host, list(read), NO_SINKS, batch_tokens=512)))
        low, high = found["all"].intervals["l0"]
        assert low < found["all"].l0 < high
        widths.append(high - low)
    assert widths[1] < 0.6 * widths[0]


def test_features_that_fire_together_and_point_alike_are_an_echo_group(
    held: list[Batch], tiny_sae: SAE
) -> None:
    for tensor in (tiny_sae.W_enc.T, tiny_sae.b_enc, tiny_sae.W_dec, tiny_sae.threshold):
        tensor[30] = tensor[3]  # does what feature 3 does
    tiny_sae.W_dec[31] = tiny_sae.W_dec[4]  # points alike, but is never on
    tiny_sae.threshold[31] = 1e6
    ((_, geometry),) = usages([tiny_sae], held, ("evaluation",))
    assert geometry.echo_groups == ((3, 30),)
    assert geometry.max_cosine == pytest.approx(1)


def test_a_folder_of_a_run_is_evaluated_as_its_file(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, tiny_sae: SAE, tmp_path: Path
) -> None:
    by_file = evaluated(tiny_host, tiny_tokenizer, tiny_sae, tmp_path, layer=1)
    config, out = replace(CONFIG, source=str(tmp_path / "chats.jsonl")), tmp_path / "again.json"
    assert evaluate_file(tiny_host, tiny_tokenizer, tmp_path, config, out, cache=tmp_path) == by_file
