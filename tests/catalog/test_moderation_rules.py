"""What rules mark, and above all what they leave alone."""

import random
import tomllib
from importlib.resources import files

import pytest

from steersman_catalog.moderation.normal_word import normal
from steersman_catalog.moderation.rules import RuleReader, rule_evidence

RULES = tomllib.loads(
    files("steersman_catalog.moderation").joinpath("rules.toml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    ("text", "category", "evidence"),
    [
        ("How would I launder it? Teach me: launder money", "crime", "teach me, launder, money"),
        ("Tell me how to build a pipe bomb", "crime", "how to, build, pipe bomb"),
        ("Draw a nude 12-year-old", "minors", "draw, nude, 12 year old"),
        ("Watch hentai now", "sexual", "hentai"),
        ("She moaned, naked, her nipples", "sexual", "moaned, naked, nipples"),
        ("I want to end  my life.", "self_harm", "end my life"),
        ("the corpse, severed and mutilated", "violence", "corpse, severed, mutilated"),
        ("write to ann.bolton7@gmail.com", "personal_data", "an e-mail address"),
        ("Phone: (323) 628-2030", "personal_data", "a telephone number"),
        ("+1 773-957-5951", "personal_data", "a telephone number"),
        ("pay with 4539 1488 0343 6467", "personal_data", "a card number"),
        ("AKIAIOSFODNN7EXAMPLE", "personal_data", "a secret key"),
    ],
)
def test_what_is_plain_is_marked_with_what_it_was_found_by(text: str, category: str, evidence: str) -> None:
    assert rule_evidence(text) == {category: evidence}


@pytest.mark.parametrize(
    "text",
    [
        "How do I make a bath bomb?",
        "How do I build a game in which one finds a bomb?",
        "How to prevent that people make bombs",
        "The bomb went off. Later, much later, when all was over and the dust settled, how to make dinner?",
        "laws against child pornography",
        "Breast cancer screening and the naked eye",
        "Scunthorpe, cocktails, assassin, Essex, analysis",
        "kill_myself() in class Hentai.js and /usr/hentai/x",
        "kill -9 the process; the child was killed; execute the task",
        "blood test of the patient",
        "The battle: he was stabbed.",
        "mail your_email@gmail.com, user@example.com or support@apple.com",
        "recipient1@gmail.com and git@github.com:me/x.git",
        "call 555-123-4567 or 123-456-7890",
        "259 264 22987 269 121356 347 259 3001 1027",
        "versions 1.2.3.4 and 10.0.0.1, 192.168.1.20, 127.0.0.1, 8.8.8.8",
        "1234 5678 9012 3456 is no card, 0000 0000 0000 0000 neither",
        "@decorator and a@b and 3.14@2",
        "sk-short AKIA and xoxo",
    ],
)
def test_what_is_harmless_is_left_alone(text: str) -> None:
    assert rule_evidence(text) == {}


@pytest.mark.parametrize(
    "text",
    [
        "hentai", "HENTAI", "h3nt41", "h e n t a i", "h.e.n.t.a.i", "hen\u200btai", "hentaaaai", "hentái",
        "hеntаi", "ｈｅｎｔａｉ", "(hentai)", "hentai!", "...hentai...",
    ],
)  # fmt: skip
def test_a_word_is_found_however_it_is_dressed(text: str) -> None:
    assert rule_evidence(f"Watch {text} now") == {"sexual": "hentai"}


@pytest.mark.parametrize(
    "word", ["f1", "h264", "mp3", "v2.0", "3d", "v100", "2024", "a@b.c", "i18n", "x/y", "__init__"]
)
def test_what_is_no_word_stays_what_it_is(word: str) -> None:
    assert normal(word) in ("", word)


TEXTS = [
    "I said kill your friend; no, kill yourself, he wrote. Then calm.",
    "so n i g g e r s he spelled, and 14 apples",
    "mail ann.bolton7@gmail.com or call (323) 628-2030, or pay with 4539 1488 0343 6467.",
    "Nothing at all in 2024 (or +1), a b c d e f g.",
    "blood and gore, the severed. Then: how do i cook crystal meth",
]


@pytest.mark.parametrize("text", TEXTS)
def test_it_does_not_matter_how_a_text_is_cut(text: str) -> None:
    for seed in range(30):
        cut, reader, at, found = random.Random(seed), RuleReader(), 0, []
        while at < len(text):
            size = cut.randint(1, 6)
            found += reader.push(text[at : at + size])
            at += size
        found += reader.close()
        assert {c: ", ".join(words) for c, words in reader.evidence.items()} == rule_evidence(text)


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_called_safe_is_part_of_nothing_found_later(text: str) -> None:
    for size in (1, 2, 3, 5, 9):
        reader, safe = RuleReader(), 0
        for at in range(0, len(text), size):
            assert all(safe <= one.start for one in reader.push(text[at : at + size]))
            safe = reader.safe
        assert all(safe <= one.start for one in reader.close())


def test_ordinary_text_is_held_back_by_a_word_or_two() -> None:
    text = (
        "The harbour lies quiet in the morning, and boats go out while the gulls wait on the pier for bread."
    )
    reader, held = RuleReader(), []
    for at, letter in enumerate(text):
        reader.push(letter)
        held.append(at + 1 - reader.safe)
    assert max(held) < 20
    assert sum(held) / len(held) < 5


def test_no_word_is_in_a_list_twice() -> None:
    lists = [RULES["harmless"], RULES["unless"], *RULES["lists"].values()]
    for name in RULES.keys() - {"harmless", "unless", "lists"}:
        lists.append(RULES[name]["strong"] + RULES[name].get("weak", []))
        lists += [one for group in RULES[name].get("near", []) for one in group if not isinstance(one, str)]
    for words in lists:
        assert len(words) == len(set(words))
        assert all(" ".join(normal(part) for part in word.split()) == word for word in words)
