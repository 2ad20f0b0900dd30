"""What rules mark, and above all what they leave alone."""

import tomllib

import pytest

from steersman_training.labelling.moderation_rules import WORDS, rule_evidence


@pytest.mark.parametrize(
    ("text", "category", "evidence"),
    [
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


def test_no_word_is_in_a_list_twice() -> None:
    for words in tomllib.loads(WORDS.read_text(encoding="utf-8")).values():
        every = words["strong"] + words.get("weak", [])
        assert len(every) == len(set(every))
        assert every == [word.casefold() for word in every]
