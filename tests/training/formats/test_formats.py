"""Files made by hand, as each library writes them; and those libraries themselves, where installed."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from steersman.cli import main
from steersman_engine.sae import SAE
from steersman_training import formats
from steersman_training.formats import FormatError

D_IN, D_SAE, K = 8, 24, 5
FACTS = {"model": "tiny", "layer": 3}


@pytest.fixture
def w() -> dict[str, Tensor]:
    """Weights with rows of any length."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "W_enc": normal(D_IN, D_SAE),
        "b_enc": normal(D_SAE) * 0.3,
        "W_dec": normal(D_SAE, D_IN),
        "b_dec": normal(D_IN),
        "threshold": normal(D_SAE).abs(),
        "r_mag": normal(D_SAE) * 0.3,
        "b_mag": normal(D_SAE) * 0.3,
    }


@pytest.fixture
def x() -> Tensor:
    return torch.randn(400, D_IN, generator=torch.Generator().manual_seed(1))


def write_sae_lens(folder: Path, architecture: str, tensors: dict[str, Tensor], **config) -> Path:
    folder.mkdir()
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "sae_weights.safetensors"
    )
    known = {"architecture": architecture, "d_in": D_IN, "d_sae": D_SAE, "apply_b_dec_to_input": True}
    known |= {"normalize_activations": "none", "metadata": {"model_name": "tiny"}}
    (folder / "cfg.json").write_text(json.dumps(known | config))
    return folder


def some(w: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    return {name: w[name] for name in names}


def relu_sae(w: dict[str, Tensor], x: Tensor, threshold: Tensor | float = 0.0) -> Tensor:
    """A reconstruction by the definition, with `x − b_dec` encoded."""
    pre = (x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]
    return torch.where(pre > threshold, pre, 0).relu() @ w["W_dec"] + w["b_dec"]


def gated_sae(w: dict[str, Tensor], x: Tensor) -> Tensor:
    u = (x - w["b_dec"]) @ w["W_enc"]
    acts = (u + w["b_enc"] > 0) * (w["r_mag"].exp() * u + w["b_mag"]).relu()
    return acts @ w["W_dec"] + w["b_dec"]


def test_a_standard_sae_of_sae_lens_reconstructs_the_same(w, x, tmp_path: Path) -> None:
    folder = write_sae_lens(tmp_path / "s", "standard", some(w, "W_enc", "b_enc", "W_dec", "b_dec"))
    name, found = formats.read(folder)
    assert (name, found.facts) == ("sae_lens", {"model_name": "tiny"})
    torch.testing.assert_close(found.canonical()(x), relu_sae(w, x), atol=1e-4, rtol=1e-4)


def test_a_jumprelu_sae_of_sae_lens_reconstructs_the_same(w, x, tmp_path: Path) -> None:
    folder = write_sae_lens(
        tmp_path / "s", "jumprelu", some(w, "W_enc", "b_enc", "W_dec", "b_dec", "threshold")
    )
    found = formats.read(folder)[1].canonical()
    torch.testing.assert_close(found(x), relu_sae(w, x, w["threshold"]), atol=1e-4, rtol=1e-4)


def test_a_gated_sae_of_sae_lens_reconstructs_the_same(w, x, tmp_path: Path) -> None:
    tensors = some(w, "W_enc", "W_dec", "b_dec", "r_mag", "b_mag") | {"b_gate": w["b_enc"]}
    found = formats.read(write_sae_lens(tmp_path / "s", "gated", tensors))[1].canonical()
    torch.testing.assert_close(found(x), gated_sae(w, x), atol=1e-4, rtol=1e-4)


def test_a_topk_sae_needs_residuals_to_find_a_threshold_on(w, x, tmp_path: Path) -> None:
    folder = write_sae_lens(tmp_path / "s", "topk", some(w, "W_enc", "b_enc", "W_dec", "b_dec"), k=K)
    found = formats.read(folder)[1]
    with pytest.raises(FormatError, match=r"keeps the 5 largest activations .* Pass a harvest"):
        found.canonical()
    assert (found.canonical(x).encode(x) > 0).sum(dim=-1).float().mean() == pytest.approx(K)


def test_a_topk_sae_compares_activations_in_its_own_units(w, x, tmp_path: Path) -> None:
    folder = write_sae_lens(tmp_path / "s", "batchtopk", some(w, "W_enc", "b_enc", "W_dec", "b_dec"), k=K)
    pre = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]).relu()
    kept = pre > pre.flatten().topk(K * len(x) + 1).values[-1]
    assert torch.equal(formats.read(folder)[1].canonical(x).encode(x) > 0, kept)


@pytest.mark.parametrize(
    ("architecture", "config", "message"),
    [
        ("temporal", {}, "'temporal', which the canonical form cannot hold"),
        ("standard", {"normalize_activations": "layer_norm"}, "normalize_activations = 'layer_norm'"),
        ("standard", {"reshape_activations": "hook_z"}, "reshape_activations = 'hook_z'"),
    ],
)
def test_what_the_canonical_form_cannot_hold_is_refused(
    w, tmp_path: Path, architecture, config, message
) -> None:
    tensors = some(w, "W_enc", "b_enc", "W_dec", "b_dec")
    folder = write_sae_lens(tmp_path / "s", architecture, tensors, **config)
    with pytest.raises(FormatError, match=message):
        formats.read(folder)


def test_a_sparsify_sae_keeps_k_on_average(w, x, tmp_path: Path) -> None:
    folder = tmp_path / "layers.3"
    folder.mkdir()
    tensors = {
        "encoder.weight": w["W_enc"].T,
        "encoder.bias": w["b_enc"],
        "W_dec": w["W_dec"],
        "b_dec": w["b_dec"],
    }
    save_file({name: each.contiguous() for name, each in tensors.items()}, folder / "sae.safetensors")
    (folder / "cfg.json").write_text(json.dumps({"k": K, "d_in": D_IN, "activation": "topk"}))
    name, found = formats.read(folder)
    assert (name, found.k, found.subtract_b_dec) == ("sparsify", K, True)
    assert (found.canonical(x).encode(x) > 0).sum(dim=-1).float().mean() == pytest.approx(K)


def write_ae(folder: Path, tensors: dict[str, Tensor], dict_class: str) -> Path:
    folder.mkdir()
    torch.save(tensors, folder / "ae.pt")
    (folder / "config.json").write_text(json.dumps({"trainer": {"dict_class": dict_class, "layer": 3}}))
    return folder


def linear(w: dict[str, Tensor]) -> dict[str, Tensor]:
    return {"encoder.weight": w["W_enc"].T, "encoder.bias": w["b_enc"], "decoder.weight": w["W_dec"].T}


def test_every_class_of_dictionary_learning_reconstructs_the_same(w, x, tmp_path: Path) -> None:
    k = {"k": torch.tensor(K), "threshold": torch.tensor(0.4)}
    gated = {
        "encoder.weight": w["W_enc"].T, "decoder.weight": w["W_dec"].T, "decoder_bias": w["b_dec"],
        "gate_bias": w["b_enc"], "r_mag": w["r_mag"], "mag_bias": w["b_mag"],
    }  # fmt: skip
    centred = {**w, "b_enc": w["b_enc"] + w["b_dec"] @ w["W_enc"]}  # nothing is taken off the input
    canonical = some(w, "W_enc", "b_enc", "W_dec", "b_dec")
    cases = {
        "AutoEncoder": (linear(w) | {"bias": w["b_dec"]}, relu_sae(w, x)),
        "AutoEncoderNew": (linear(w) | {"decoder.bias": w["b_dec"]}, relu_sae(centred, x)),
        "GatedAutoEncoder": (gated, gated_sae(w, x)),
        "JumpReluAutoEncoder": (
            canonical | {"threshold": w["threshold"]},
            relu_sae(centred, x, w["threshold"]),
        ),
        "BatchTopKSAE": (linear(w) | {"b_dec": w["b_dec"]} | k, relu_sae(w, x, 0.4)),
        "MatryoshkaBatchTopKSAE": (canonical | k, relu_sae(w, x, 0.4)),
    }
    for name, (tensors, expected) in cases.items():
        where, found = formats.read(write_ae(tmp_path / name, tensors, name))
        assert (where, found.architecture, found.facts["layer"]) == ("dictionary_learning", name, 3)
        torch.testing.assert_close(found.canonical()(x), expected, atol=1e-4, rtol=1e-4, msg=name)


def test_a_topk_sae_of_dictionary_learning_keeps_k_though_it_has_a_threshold(w, tmp_path: Path) -> None:
    tensors = linear(w) | {"b_dec": w["b_dec"], "k": torch.tensor(K), "threshold": torch.tensor(0.4)}
    assert formats.read(write_ae(tmp_path / "s", tensors, "AutoEncoderTopK"))[1].k == K


def test_goodfire_s_file_reconstructs_the_same(w, x, tmp_path: Path) -> None:
    names = ("encoder_linear.weight", "encoder_linear.bias", "decoder_linear.weight", "decoder_linear.bias")
    tensors = (w["W_enc"].T, w["b_enc"], w["W_dec"].T, w["b_dec"])
    torch.save(dict(zip(names, tensors, strict=True)), tmp_path / "sae.pth")
    name, found = formats.read(tmp_path / "sae.pth")
    expected = (x @ w["W_enc"] + w["b_enc"]).relu() @ w["W_dec"] + w["b_dec"]
    assert name == "goodfire"
    torch.testing.assert_close(found.canonical()(x), expected, atol=1e-4, rtol=1e-4)


class Evil:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize("file", ["sae.pth"])
def test_a_pickle_that_could_run_code_is_not_opened(tmp_path: Path, file: str) -> None:
    torch.save({"encoder_linear.weight": Evil()}, tmp_path / file)
    with pytest.raises(FormatError, match="holds more than tensors"):
        formats.read(tmp_path / file)


@pytest.fixture
def sae(w) -> SAE:
    return SAE.canonical(
        W_enc=w["W_enc"], b_enc=w["b_enc"], W_dec=w["W_dec"], b_dec=w["b_dec"], threshold=w["threshold"]
    )


@pytest.fixture
def relu(w) -> SAE:
    return SAE.canonical(W_enc=w["W_enc"], b_enc=w["b_enc"], W_dec=w["W_dec"], b_dec=w["b_dec"])


@pytest.mark.parametrize("name", ["steersman", "sae_lens", "dictionary_learning"])
def test_an_sae_comes_back_as_it_was_written(sae: SAE, x, tmp_path: Path, name: str) -> None:
    path = tmp_path / ("sae.safetensors" if name == "steersman" else "sae")
    formats.write(sae, path, name, FACTS)
    found, foreign = formats.read(path)
    assert found == name
    torch.testing.assert_close(foreign.canonical().encode(x), sae.encode(x))
    torch.testing.assert_close(foreign.canonical()(x), sae(x))


@pytest.mark.parametrize("name", ["steersman", "sae_lens", "sparsify", "dictionary_learning", "goodfire"])
def test_a_relu_sae_comes_back_from_every_format(relu: SAE, x, tmp_path: Path, name: str) -> None:
    path = tmp_path / {"steersman": "sae.safetensors", "goodfire": "sae.pth"}.get(name, "sae")
    formats.write(relu, path, name, FACTS)
    assert formats.read(path)[0] == name
    torch.testing.assert_close(formats.read(path)[1].canonical()(x), relu(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["sparsify", "goodfire"])
def test_formats_without_thresholds_refuse_them(sae: SAE, tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="holds no thresholds"):
        formats.write(sae, tmp_path / "sae", name, FACTS)


def test_nothing_is_overwritten(sae: SAE, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FormatError, match="exists"):
        formats.write(sae, tmp_path / "file", "sae_lens", FACTS)


def test_an_unknown_file_is_refused_with_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "sae.npz").write_text("")
    with pytest.raises(FormatError, match=r"of no format known here\. steersman: "):
        formats.read(tmp_path / "sae.npz")


def test_a_place_that_is_not_there_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="hub:OWNER/NAME"):
        formats.read("nowhere")


def test_the_command_converts_and_shows(sae: SAE, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats.write(sae, tmp_path / "sae.safetensors", "steersman", {})
    main(
        [
            "sae",
            "convert",
            str(tmp_path / "sae.safetensors"),
            "--to",
            "sae_lens",
            "--out",
            str(tmp_path / "lens"),
        ]
    )
    main(["sae", "inspect", str(tmp_path / "lens")])
    shown = capsys.readouterr().out
    assert "24 features of 8 dimensions, as sae_lens" in shown
    assert "sae_lens, jumprelu" in shown


def test_sae_lens_reads_what_we_write(sae: SAE, x, tmp_path: Path) -> None:
    sae_lens = pytest.importorskip("sae_lens")
    formats.write(sae, tmp_path / "sae", "sae_lens", FACTS)
    theirs = sae_lens.SAE.load_from_disk(tmp_path / "sae")
    torch.testing.assert_close(theirs(x), sae(x), atol=1e-5, rtol=1e-5)


def test_dictionary_learning_reads_what_we_write(sae: SAE, x, tmp_path: Path) -> None:
    dictionary = pytest.importorskip("dictionary_learning.dictionary")
    formats.write(sae, tmp_path / "sae", "dictionary_learning", FACTS)
    theirs = dictionary.JumpReluAutoEncoder.from_pretrained(tmp_path / "sae" / "ae.pt")
    torch.testing.assert_close(theirs(x), sae(x), atol=1e-5, rtol=1e-5)


def test_sparsify_reads_what_we_write(relu: SAE, x, tmp_path: Path) -> None:
    sparsify = pytest.importorskip("sparsify")
    formats.write(relu, tmp_path / "sae", "sparsify", FACTS)
    theirs = sparsify.SparseCoder.load_from_disk(tmp_path / "sae")
    torch.testing.assert_close(theirs(x).sae_out, relu(x), atol=1e-4, rtol=1e-4)
