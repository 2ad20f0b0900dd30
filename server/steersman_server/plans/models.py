"""What the name of a model stands for: the model, or it and a variant's edits."""

from collections.abc import Sequence
from dataclasses import dataclass

from steersman.types import Condition, FeatureEdit, Variant
from steersman_server.errors import RequestError
from steersman_server.served import ServedModel
from steersman_server.variants import VariantStore


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a request is answered by."""

    name: str
    """As the answer repeats it."""
    feature_edits: tuple[FeatureEdit, ...] = ()
    """The variant's, which come before the request's own."""
    abort_when: tuple[Condition, ...] = ()

    def edits(self, own: Sequence[FeatureEdit]) -> tuple[FeatureEdit, ...]:
        """Those of the variant and then the request's."""
        return (*self.feature_edits, *own)

    def aborts(self, own: Sequence[Condition]) -> tuple[Condition, ...]:
        """Those of the variant and then the request's."""
        return (*self.abort_when, *own)


def choose_model(name: str | None, served: ServedModel, variants: VariantStore) -> ModelChoice:
    """The model of that name, or of none: the server has one. Reads a file: it blocks.

    Raises:
        RequestError: There is no such model.
    """
    if name is None or name == served.name:
        return ModelChoice(served.name)
    base, colon, variant = name.rpartition(":")
    found = variants.find(variant) if colon and base == served.name else None
    if found is None:
        raise unknown_model(name, served)
    check_bundle(found, served)
    return ModelChoice(found.id, found.feature_edits, found.abort_when)


def check_bundle(variant: Variant, served: ServedModel) -> None:
    """Refuse a variant that names another bundle's features.

    Raises:
        RequestError: It does.
    """
    if variant.bundle != served.bundle:
        message = (
            f"The variant '{variant.name}' was made for the features of {variant.bundle}; this server has"
            f" {served.bundle}, whose features mean other things. Make it anew."
        )
        raise RequestError(message, param="model", code="invalid_value")


def unknown_model(name: str, served: ServedModel) -> RequestError:
    """The error for a model that is not there."""
    message = (
        f"The model `{name[:100]}` does not exist; this server answers for `{served.name}` and its variants."
    )
    return RequestError(message, code="model_not_found")
