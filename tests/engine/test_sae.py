from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from steersman_engine.sae import SAE


def parts(scale: float = 1.0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        "W_enc": torch.randn(6, 10, generator=generator, dtype=torch.float64),
        "b_enc": torch.randn(10, generator=generator, dtype=torch.float64),
        "W_dec": scale * torch.randn(10, 6, generator=generator, dtype=torch.float64),
        "b_dec": torch.randn(6, generator=generator, dtype=torch.float64),
    }


def test_encoding_keeps_what_is_above_the_threshold() -> None:
    eye = torch.eye(2)
    zero, threshold = torch.zeros(2), torch.tensor([0.0, 2.0])
    sae = SAE(W_enc=eye, b_enc=zero, W_dec=eye, b_dec=zero, threshold=threshold)
    x = torch.tensor([[0.5, 1.9], [-1.0, 2.1], [1.0, 2.0]])
    assert sae.encode(x).tolist() == [[0.5, 0.0], [0.0, pytest.approx(2.1)], [1.0, 0.0]]


@pytest.mark.parametrize("subtract_b_dec", [False, True])
def test_the_canonical_form_reconstructs_what_its_source_does(subtract_b_dec: bool) -> None:
    source = parts(scale=3.0)
    scale, threshold = 0.25, torch.full((10,), 0.3, dtype=torch.float64)
    sae = SAE.canonical(**source, threshold=threshold, input_scale=scale, subtract_b_dec=subtract_b_dec)

    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 4
    read = scale * x - (source["b_dec"] if subtract_b_dec else 0)
    pre = read @ source["W_enc"] + source["b_enc"]
    acts = pre * (pre > 0.3)
    expected = (acts @ source["W_dec"] + source["b_dec"]) / scale

    torch.testing.assert_close(sae(x).double(), expected, rtol=1e-4, atol=1e-4)
    lengths = acts * source["W_dec"].norm(dim=-1) / scale
    torch.testing.assert_close(sae.encode(x).double(), lengths, rtol=1e-4, atol=1e-4)
    assert sae.decoder_norm is not None
    torch.testing.assert_close(acts * sae.decoder_norm, lengths, rtol=1e-6, atol=1e-6)


def test_a_file_need_not_say_how_long_decoder_rows_were(tiny_sae: SAE, tmp_path: Path) -> None:
    tensors = {name: t for name, t in tiny_sae.named_buffers() if name != "decoder_norm"}
    save_file(tensors, tmp_path / "sae.safetensors")
    assert SAE.load(tmp_path / "sae.safetensors").decoder_norm is None


def test_saving_and_loading_is_identity(tiny_sae: SAE, tmp_path: Path) -> None:
    tiny_sae.save(tmp_path / "sae.safetensors")
    loaded = SAE.load(tmp_path / "sae.safetensors")
    for name, buffer in tiny_sae.named_buffers():
        assert torch.equal(buffer, loaded.get_buffer(name)), name


def test_half_precision_matrices_stay_canonical(tiny_sae: SAE, tmp_path: Path) -> None:
    tiny_sae.save(tmp_path / "sae.safetensors", dtype=torch.float16)
    loaded = SAE.load(tmp_path / "sae.safetensors")
    x = torch.randn(20, 32, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(loaded(x), tiny_sae(x), rtol=1e-2, atol=2e-2)


def test_decoder_rows_of_another_length_are_refused() -> None:
    tensors = {name: tensor.float() for name, tensor in parts(scale=3.0).items()}
    with pytest.raises(ValueError, match=r"SAE\.canonical"):
        SAE(**tensors, threshold=torch.zeros(10))


def test_a_zero_decoder_row_is_refused() -> None:
    source = parts()
    source["W_dec"][7] = 0
    with pytest.raises(ValueError, match="row 7 is zero"):
        SAE.canonical(**source)  # pyright: ignore[reportArgumentType]


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"b_enc is \[9\], not \[10\]"):
        SAE(**{**parts(), "b_enc": torch.zeros(9)}, threshold=torch.zeros(10))
