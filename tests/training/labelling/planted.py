"""A tiny model with an SAE whose features are known: the first letter of a word, or a sign."""

import hashlib
import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM

from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_training.chats import Chat
from steersman_training.documents import documents
from steersman_training.labelling.config import LabelConfig
from steersman_training.labelling.corpus import Corpus
from steersman_training.labelling.job import Job
from steersman_training.labelling.subject import Subject

PLANTED = ["zebra", "quark", "xenon", "jumbo", "violin", "kettle", "window", "yellow"]
FILLER = ["the", "rain", "can", "fall", "on", "a", "small", "hut", "and", "it", "melts", "fast", "oh!"]
DEAD = len(PLANTED)
"""A feature that never fires."""
SIGN = DEAD + 1
"""A feature that fires on exclamation marks."""
SINK_NORM = 1e9
EMBEDDING_SCALE = 30.0
NUM_CHATS = 600


def chats() -> list[Chat]:
    """Chats of filler with a planted word now and then."""
    draw = random.Random(0)

    def text() -> str:
        return " ".join(
            draw.choice(PLANTED) if draw.random() < 0.12 else draw.choice(FILLER) for _ in range(22)
        )

    roles = ("user", "assistant")
    made = [Chat(f"c{n}", [{"role": role, "content": text()} for role in roles]) for n in range(NUM_CHATS)]
    return [chat for chat in made if chat.split == "labelling"]


def corpus_of(tokenizer) -> Corpus:
    """Their documents."""
    return Corpus.of(documents(chats(), "labelling", tokenizer, max_length=220, seed=0), tokens=10**9)


def planted_host(model: LlamaForCausalLM) -> HostModel:
    """A host whose embeddings are long beside what blocks add: a linear encoder can tell letters apart."""
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(EMBEDDING_SCALE)
    return HostModel(model, 1, name="tiny")


def planted_sae(host: HostModel, tokenizer, corpus: Corpus) -> SAE:
    """A direction a planted word or sign, told from all else by its first letter; and a dead one."""
    letters = [tokenizer(word[0], add_special_tokens=False)["input_ids"][0] for word in (*PLANTED, "!")]
    resid, token = [], []
    for begin, end in islice(zip(corpus.starts, corpus.starts[1:], strict=False), 60):
        ids = torch.from_numpy(corpus.token[begin:end].astype(np.int64))
        resid.append(host.residual(ids[None])[0].double())
        token.append(ids)
    x, y = torch.cat(resid), torch.cat(token)
    centred = x - x.mean(dim=0)
    within = centred.T @ centred / len(x) + 1e-3 * torch.eye(x.shape[1], dtype=torch.float64)
    enc, bias = [], []
    for letter in letters:
        yes = y == letter
        w = torch.linalg.solve(within, x[yes].mean(dim=0) - x[~yes].mean(dim=0))
        w /= w.norm()
        score = x @ w
        enc.append(w)
        bias.append(-(score[yes].min() + score[~yes].max()) / 2)
    enc.insert(DEAD, torch.ones(x.shape[1], dtype=torch.float64))
    bias.insert(DEAD, torch.tensor(-1e6, dtype=torch.float64))
    W_enc = torch.stack(enc, dim=1)
    return SAE.canonical(
        W_enc=W_enc, b_enc=torch.stack(bias), W_dec=W_enc.T.clone(), b_dec=torch.zeros(x.shape[1])
    )


def bag_of_words(texts: Sequence[str]) -> np.ndarray:
    """An embedding that knows words, and nothing of their meaning."""
    vectors = np.full((len(texts), 256), 1e-3, np.float32)
    for row, text in enumerate(texts):
        for word in "".join(c if c.isalnum() else " " for c in text.lower()).split():
            vectors[row, hashlib.sha256(word.encode()).digest()[0]] += 1
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def config() -> LabelConfig:
    """A small job."""
    return LabelConfig(
        model="tiny", layer=1, sae="", sink_norm=SINK_NORM, source="planted", tokens=10**9, batch_tokens=4096
    )


def planted_job(folder: Path, host: HostModel, tokenizer) -> Job:
    """A job on the planted SAE, nothing of it made yet."""
    corpus = corpus_of(tokenizer)
    subject = Subject(host, tokenizer, planted_sae(host, tokenizer, corpus), "planted", SINK_NORM)
    return Job(folder, config(), subject, bag_of_words, corpus=lambda: corpus)
