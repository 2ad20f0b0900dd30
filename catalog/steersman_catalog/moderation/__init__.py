"""What should not be shown, steered or said, by category, and the rules that find it in a text."""

from typing import Literal, get_args

Category = Literal["sexual", "minors", "violence", "hate", "self_harm", "crime", "personal_data"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
MEANING: dict[Category, str] = {
    "sexual": "sexual acts or bodies described in order to arouse; not medicine or education",
    "minors": "any sexual content that involves a person under 18",
    "violence": "gore, torture or cruelty described in detail; not news, history, games or idioms",
    "hate": "slurs or contempt for people for what they are; not discussion of it",
    "self_harm": "suicide or self-injury encouraged, or ways to do it; not help, prevention or statistics",
    "crime": "working instructions for weapons, drugs, fraud or malware; not their mention",
    "personal_data": "what reaches or identifies a private person: addresses, telephone numbers, keys",
}
"""What belongs to a category, and what does not."""
