"""The embedder against transformers' own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel

from steersman_catalog.minilm import CONFIG, TOKENIZER, WEIGHTS, MiniLM

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "chicken", "oven", "proof", "lemma"]
TEXTS = ["chicken oven", "proof", "lemma proof lemma chicken oven", "chicken " * 400]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of MiniLM's make."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.post_processor = TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / TOKENIZER))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=8, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=48,
        initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    assert (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file()
    return folder


def test_it_embeds_as_transformers_does(folder: Path) -> None:
    minilm = MiniLM.load(folder)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    bert = BertModel.from_pretrained(folder).eval()
    for text, embedded in zip(TEXTS, minilm.embed(TEXTS), strict=True):
        ids = tokenizer.encode(text).ids
        ids = ids if len(ids) <= 256 else [*ids[:255], 2]
        with torch.no_grad():
            hidden = bert(torch.tensor([ids])).last_hidden_state[0].mean(dim=0).numpy()
        np.testing.assert_allclose(embedded, hidden / np.linalg.norm(hidden), atol=2e-6)


def test_an_embedding_does_not_depend_on_its_batch_mates(folder: Path) -> None:
    minilm = MiniLM.load(folder)
    np.testing.assert_allclose(minilm.embed(TEXTS)[1], minilm.embed(TEXTS[1:2])[0], atol=1e-6)


def test_a_folder_without_the_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors"):
        MiniLM.load(tmp_path)
