"""What is done about each category, place by place."""

from typing import Literal

import msgspec
from msgspec import Struct

from steersman_catalog.moderation import CATEGORIES, Category
from steersman_catalog.rows import Action as Mark
from steersman_catalog.rows import Subject
from steersman_catalog.verdicts import Verdicts

Action = Literal["off", "flag", "block"]
OnFailure = Literal["open", "closed"]
"""Whether a text that nobody can judge is let through."""


class Actions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done at one place."""

    sexual: Action = "off"
    minors: Action = "off"
    violence: Action = "off"
    hate: Action = "off"
    self_harm: Action = "off"
    crime: Action = "off"
    personal_data: Action = "off"

    def of(self, category: Category) -> Action:
        """That for a category."""
        return getattr(self, category)

    def __bool__(self) -> bool:
        """Whether anything is done."""
        return any(self.of(category) != "off" for category in CATEGORIES)

    @property
    def blocks(self) -> bool:
        """Whether anything is blocked."""
        return any(self.of(category) == "block" for category in CATEGORIES)


FEATURES = Actions(
    sexual="block", minors="block", violence="flag", hate="block", self_harm="block", crime="flag",
    personal_data="flag",
)  # fmt: skip
TEXTS = Actions(sexual="flag", minors="block", violence="flag", hate="flag", self_harm="flag", crime="flag")
OFF = Actions()


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done at every place; by default the standard."""

    features: Actions = FEATURES
    """`block`: not found, named or shown, and no edit may raise them."""
    samples: Actions = msgspec.structs.replace(FEATURES, personal_data="block")
    """Of features. `block`: left out."""
    inputs: Actions = TEXTS
    """`block`: the request is refused."""
    outputs: Actions = msgspec.structs.replace(TEXTS, personal_data="flag")
    """`block`: the answer ends before what was found."""

    @property
    def verdicts(self) -> Verdicts:
        """For the catalogue, whose marks of other categories keep their own actions."""
        features: dict[Action, Mark | None] = {"off": None, "flag": "mark", "block": "refuse"}
        samples: dict[Action, Mark | None] = {"off": None, "flag": "mark", "block": "hide"}
        made: dict[tuple[Subject, str], Mark | None] = {}
        for category in CATEGORIES:
            made["feature", category] = made["label", category] = features[self.features.of(category)]
            made["example", category] = samples[self.samples.of(category)]
        return made


NOTHING = Policy(features=OFF, samples=OFF, inputs=OFF, outputs=OFF)


class PolicyTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A policy as a file gives it: actions in place of the standard's, by place and category."""

    features: dict[Category, Action] = {}
    samples: dict[Category, Action] = {}
    inputs: dict[Category, Action] = {}
    outputs: dict[Category, Action] = {}

    def policy(self) -> Policy:
        """The standard policy with these actions."""
        standard = Policy()
        return Policy(
            **{
                place: msgspec.structs.replace(getattr(standard, place), **getattr(self, place))
                for place in Policy.__struct_fields__
            }
        )
