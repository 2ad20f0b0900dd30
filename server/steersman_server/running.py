"""What the handlers work with."""

from dataclasses import dataclass

from steersman_server.config import ServerConfig
from steersman_server.metrics import Metrics
from steersman_server.served import ServedModel
from steersman_server.variants import VariantStore


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: the model, what it allows, what it keeps and what it counts."""

    served: ServedModel
    config: ServerConfig
    variants: VariantStore
    metrics: Metrics
