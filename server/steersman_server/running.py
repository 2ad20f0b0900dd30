"""What the handlers work with."""

from dataclasses import dataclass, replace

from steersman_server.config import ServerConfig
from steersman_server.metrics import Metrics
from steersman_server.moderation.moderator import ALLOWED, Moderator
from steersman_server.served import ServedModel
from steersman_server.variants import VariantStore


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: the model, what it allows, what it keeps and what it counts."""

    served: ServedModel
    config: ServerConfig
    variants: VariantStore
    metrics: Metrics
    moderator: Moderator

    def unmoderated(self) -> "Running":
        """The same for those to whom moderation does nothing."""
        return replace(self, served=self.served.unmoderated(), moderator=ALLOWED)
