"""Tiny random models: every test here runs without a download."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from tests.random_llama import random_llama
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from steersman_engine.commands import default_cache
from steersman_engine.host import HostModel
from steersman_engine.sae import SAE

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LAYER = 1
NODE = Path(__file__).parent / "server" / "node"
INSTALL_S, RUN_S = 120, 120

torch.set_num_threads(1)  # tiny models run slower on more


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, with ChatML's special tokens and template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])}
    vocab |= {token: len(vocab) + index for index, token in enumerate(alphabet)}
    fast = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|im_end|>",
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


@pytest.fixture
def tiny_model(tiny_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A random float64 Llama of four blocks, the same each time."""
    return random_llama(len(tiny_tokenizer), num_layers=4, num_positions=256).double()


@pytest.fixture
def tiny_host(tiny_model: LlamaForCausalLM) -> HostModel:
    """The tiny model, tapped after block 1."""
    return HostModel(tiny_model, LAYER, name="tiny")


@pytest.fixture
def tiny_sae() -> SAE:
    """A random SAE of 40 features for the tiny model; about half fire on a token."""
    generator = torch.Generator().manual_seed(1)
    W_dec = torch.randn(40, 32, generator=generator)
    return SAE.canonical(
        W_enc=torch.randn(32, 40, generator=generator),
        b_enc=torch.randn(40, generator=generator) * 0.1,
        W_dec=W_dec,
        b_dec=torch.randn(32, generator=generator) * 0.1,
        threshold=torch.rand(40, generator=generator) * 0.5,
    )


@pytest.fixture(scope="session")
def run_node() -> Callable[[str], str]:
    """Runs the script for OpenAI's Node package, which is fetched once, against a server."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed: OpenAI's Node package is not tried.")
    folder = default_cache() / "test" / "node-openai"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        _install(folder)
        shutil.copy(NODE / "script.mjs", folder)

    def run(url: str) -> str:
        command = ["node", "script.mjs", url]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=RUN_S, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def _install(folder: Path) -> None:
    wanted, kept = (NODE / "package.json").read_bytes(), folder / "package.json"
    if (folder / "node_modules" / "openai").is_dir() and kept.exists() and kept.read_bytes() == wanted:
        return
    kept.write_bytes(wanted)
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    if done.returncode:
        kept.unlink()
        pytest.skip(f"npm cannot fetch OpenAI's Node package: {done.stderr[-300:]}")
