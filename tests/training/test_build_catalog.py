"""A catalogue against what plain transformers says about the same chats."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch

from steersman_catalog import Catalog
from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_training.build_catalog import CatalogConfig, build_catalog
from steersman_training.chats import Chat

CONFIG = CatalogConfig(source="made up", tokens=1_000_000, max_length=60, batch_tokens=512)
WORDS = ["chicken", "rice", "oven", "proof", "lemma", "?", "don't"]
NEVER, RARE = 7, 8
SINK_NORM = 52.0  # a tenth of the tiny model's tokens are above it


@dataclass
class Read:
    """A labelling chat as plain transformers reads it; `acts` `[pos, d_sae]` are zero at sinks."""

    token_ids: list[int]
    acts: np.ndarray
    sinks: np.ndarray


def text(generator: random.Random) -> str:
    return " ".join(generator.choices(WORDS, k=generator.randint(2, 6)))


@pytest.fixture(scope="module")
def chats() -> list[Chat]:
    generator = random.Random(0)
    roles = ("user", "assistant")
    return [Chat(f"c{n}", [{"role": r, "content": text(generator)} for r in roles]) for n in range(400)]


@pytest.fixture
def sae(tiny_sae: SAE) -> SAE:
    tiny_sae.threshold[NEVER], tiny_sae.threshold[RARE] = 1e6, 670.0
    return tiny_sae


@pytest.fixture
def direct(tiny_model, tiny_tokenizer, sae: SAE, chats: list[Chat]) -> dict[str, Read]:
    found = {}
    for chat in chats:
        if chat.split == "labelling":
            ids = tiny_tokenizer.apply_chat_template(chat.messages, return_dict=False)[: CONFIG.max_length]
            with torch.no_grad():
                hidden = tiny_model(torch.tensor([ids]), output_hidden_states=True).hidden_states[2][0]
            sinks = (hidden.norm(dim=-1) > SINK_NORM).numpy()
            acts = sae.encode(hidden.float()).numpy()
            acts[sinks] = 0
            found[chat.id] = Read(ids, acts, sinks)
    return found


@pytest.fixture
def path(tiny_host: HostModel, tiny_tokenizer, sae: SAE, chats: list[Chat], tmp_path: Path) -> Path:
    path = tmp_path / "catalog.duckdb"
    build_catalog(tiny_host, tiny_tokenizer, sae, chats, CONFIG, path, sink_norm=SINK_NORM)
    return path


@pytest.fixture
def catalog(path: Path) -> Iterator[Catalog]:
    catalog = Catalog.open(path)
    yield catalog
    catalog.close()


def test_h_max_is_the_largest_activation(catalog: Catalog, direct: dict[str, Read]) -> None:
    expected = np.max([read.acts.max(axis=0) for read in direct.values()], axis=0)
    np.testing.assert_allclose(catalog.h_max(), expected, rtol=1e-5)


def test_density_is_the_share_of_tokens_that_are_no_sinks(catalog: Catalog, direct: dict[str, Read]) -> None:
    fired = sum((read.acts > 0).sum(axis=0) for read in direct.values())
    tokens = sum((~read.sinks).sum() for read in direct.values())
    density = [feature.density for feature in catalog.features(range(len(catalog)))]
    np.testing.assert_allclose(density, fired / tokens)


def test_meta_gives_what_was_read(catalog: Catalog, direct: dict[str, Read]) -> None:
    tokens = sum((~read.sinks).sum() for read in direct.values())
    expected = {
        "model": "tiny",
        "layer": "1",
        "d_sae": "40",
        "tokens": str(tokens),
        "documents": str(len(direct)),
    }
    assert catalog.meta.items() >= expected.items()


def test_an_example_holds_the_activations_around_its_peak(
    catalog: Catalog, direct: dict[str, Read], tiny_tokenizer
) -> None:
    for index in range(len(catalog)):
        for example in catalog.feature(index).examples:
            read = direct[example.document]
            peak = int(read.acts[:, index].argmax())
            window = slice(max(0, peak - 24), peak + 8)
            assert example.peak == peak - window.start
            assert example.tokens == [tiny_tokenizer.decode([t]) for t in read.token_ids[window]]
            np.testing.assert_allclose(example.activations, read.acts[window, index], rtol=1e-5)


def test_the_role_is_that_of_the_message_with_the_peak(catalog: Catalog) -> None:
    for index in range(len(catalog)):
        for example in catalog.feature(index).examples:
            _, begins, turn = "".join(example.tokens[: example.peak + 1]).rpartition("<|im_start|>")
            assert not begins or turn.startswith(example.role) or example.role.startswith(turn)


def test_examples_are_the_top_and_two_from_each_fifth(catalog: Catalog, direct: dict[str, Read]) -> None:
    for index in range(len(catalog)):
        peaks = np.array([read.acts[:, index].max() for read in direct.values()])
        peaks = np.sort(peaks[peaks > 0])[::-1]
        strata = np.minimum(4, np.floor(5 * peaks / peaks.max(initial=1e-9)))
        examples = catalog.feature(index).examples
        highest = [example.activations[example.peak] for example in examples[:5]]
        np.testing.assert_allclose(highest, peaks[:5], rtol=1e-5)
        drawn = Counter(example.stratum for example in examples[5:])
        assert drawn == {stratum: min(2, count) for stratum, count in Counter(strata[5:]).items()}


def test_a_stratum_is_the_fifth_of_the_range_that_holds_the_peak(catalog: Catalog) -> None:
    for index in range(len(catalog)):
        feature = catalog.feature(index)
        for example in feature.examples:
            share = example.activations[example.peak] / feature.h_max
            assert example.stratum / 5 - 1e-6 <= share <= (example.stratum + 1) / 5 + 1e-6


def test_no_document_comes_twice(catalog: Catalog) -> None:
    for index in range(len(catalog)):
        documents = [example.document for example in catalog.feature(index).examples]
        assert len(documents) == len(set(documents))


def test_nothing_fires_at_a_sink(path: Path, direct: dict[str, Read]) -> None:
    with duckdb.connect(path, read_only=True) as db:
        query = "SELECT document, examples.start, places FROM examples JOIN passages USING (passage)"
        rows = db.execute(query).fetchall()
    for document, begin, places in rows:
        assert not direct[document].sinks[begin + np.array(places)].any()


def test_a_feature_that_never_fired_says_so(catalog: Catalog) -> None:
    feature = catalog.feature(NEVER)
    assert (feature.label, feature.label_kind, feature.h_max, feature.examples) == (
        "never fired",
        "never_fired",
        0.0,
        [],
    )


def test_a_feature_that_fired_in_few_documents_says_so(catalog: Catalog) -> None:
    assert catalog.feature(RARE).label_kind == "few_firings"


def test_a_seed_makes_the_same_catalogue_again(
    tiny_host: HostModel, tiny_tokenizer, sae: SAE, chats: list[Chat], path: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.duckdb"
    build_catalog(tiny_host, tiny_tokenizer, sae, chats, CONFIG, again, sink_norm=SINK_NORM)
    for table in ("features", "passages", "vocabulary", "examples", "words", "terms"):
        rows = []
        for file in (path, again):
            with duckdb.connect(file, read_only=True) as db:
                rows.append(db.execute(f"SELECT * FROM {table}").fetchall())
        assert rows[0] == rows[1]


def test_an_sae_of_another_width_is_refused(
    tiny_host: HostModel, tiny_tokenizer, chats: list[Chat], tmp_path: Path
) -> None:
    wide = SAE.canonical(
        W_enc=torch.ones(64, 2), b_enc=torch.zeros(2), W_dec=torch.ones(2, 64), b_dec=torch.zeros(64)
    )
    with pytest.raises(ValueError, match="width 64, and tiny has 32"):
        build_catalog(tiny_host, tiny_tokenizer, wide, chats, CONFIG, tmp_path / "c", sink_norm=SINK_NORM)


def test_a_source_without_labelling_chats_is_refused(
    tiny_host: HostModel, tiny_tokenizer, sae: SAE, chats: list[Chat], tmp_path: Path
) -> None:
    others = [chat for chat in chats if chat.split != "labelling"]
    with pytest.raises(ValueError, match="labelling split"):
        build_catalog(tiny_host, tiny_tokenizer, sae, others, CONFIG, tmp_path / "c", sink_norm=SINK_NORM)
