"""From a configuration to what moderates."""

import logging
from dataclasses import replace

from steersman_server.config import ServerConfig
from steersman_server.moderation.endpoint import EndpointJudge
from steersman_server.moderation.judges import Judge, RuleJudge
from steersman_server.moderation.moderator import Moderator
from steersman_server.moderation.policy import NOTHING, Policy
from steersman_server.moderation.signals import MOST, Signals, marked_signals, read_signals
from steersman_server.served import ServedModel

log = logging.getLogger(__name__)


def policy_of(config: ServerConfig) -> Policy:
    """The policy in force."""
    return NOTHING if config.moderation == "off" else config.moderation_policy.policy()


def make_moderator(config: ServerConfig, served: ServedModel) -> Moderator:
    """What moderates texts; the catalogue is told what to hide.

    Raises:
        ValueError: The file of signals is something else, or for another bundle.
        OSError: It cannot be read.
    """
    file = config.moderation_signals
    measured = () if file is None else tuple(read_signals(file, served.bundle, served.catalog))
    made = Moderator(
        policy=policy_of(config),
        judge=_judge(config),
        on_failure=config.moderation_failure,
        signals=Signals(measured=measured),
    )
    return adopt(made, served)


def adopt(moderator: Moderator, served: ServedModel) -> Moderator:
    """The same for another catalogue of the same features, which is told what to hide."""
    served.catalog.moderate(moderator.policy.verdicts)
    if moderator.policy == NOTHING:
        return replace(moderator, signals=Signals())
    signals = Signals(moderator.signals.measured, tuple(marked_signals(served.catalog)))
    if (count := len(signals.measured) + len(signals.marked)) > MOST:
        log.warning("%d features are signals of moderation; the first %d are looked for.", count, MOST)
    return replace(moderator, signals=signals)


def _judge(config: ServerConfig) -> Judge:
    if config.moderation_url is None:
        return RuleJudge()
    return EndpointJudge(
        config.moderation_url, config.moderation_model, config.moderation_key, config.moderation_timeout_s
    )
