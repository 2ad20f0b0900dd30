"""What a request wants steered: its own words, a variant's, and Goodfire's."""

from typing import Any, Protocol

from steersman.types import Condition, FeatureEdit
from steersman_server.errors import RequestError
from steersman_server.plans.goodfire import Read, read_controller
from steersman_server.plans.models import ModelChoice
from steersman_server.plans.steering import Steering, resolve
from steersman_server.running import Running


class SteeredRequest(Protocol):
    """A request that may be steered."""

    @property
    def feature_edits(self) -> tuple[FeatureEdit, ...]:
        """Its own edits."""
        ...

    @property
    def abort_when(self) -> tuple[Condition, ...]:
        """Its own conditions."""
        ...

    @property
    def controller(self) -> dict[str, Any] | None:
        """Goodfire's form of both."""
        ...


def own_steering(request: SteeredRequest) -> Read:
    """The request's edits and conditions, in whichever form they came.

    Raises:
        RequestError: They came in both.
    """
    if request.controller is None:
        return request.feature_edits, request.abort_when
    if request.feature_edits or request.abort_when:
        message = "`controller` says what `feature_edits` and `abort_when` say: send one or the other."
        raise RequestError(message, param="controller", code="invalid_value")
    return read_controller(request.controller)


def intended(request: SteeredRequest, model: ModelChoice, running: Running) -> Steering:
    """The variant's edits, then the request's, checked. Reads the catalogue: it blocks.

    Raises:
        RequestError: One cannot be made, or does nothing.
    """
    edits, aborts = own_steering(request)
    return resolve(
        model.edits(edits),
        model.aborts(aborts),
        running.served,
        running.config,
        num_inherited=len(model.feature_edits),
    )
