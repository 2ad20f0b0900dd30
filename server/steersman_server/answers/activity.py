"""What fires on an answer's tokens, with names."""

from collections.abc import Mapping, Sequence

from steersman.types import ChoiceActivations, FeatureActivation, TokenActivations
from steersman_engine.engine import TokenFeatures
from steersman_server.answers.answer import Answer
from steersman_server.served import ServedModel


async def activations(
    found: Mapping[int, Sequence[TokenFeatures]], answers: Sequence[Answer], served: ServedModel
) -> list[ChoiceActivations]:
    """The features of tokens of several answers, by the answers' indices."""
    read = [token for tokens in found.values() for token in tokens]
    known = await served.named(active.feature for token in read for active in token.features)
    made = []
    for choice, tokens in found.items():
        answer = answers[choice]
        start, ids = len(answer.request.prompt), answer.token_ids
        made.append(
            ChoiceActivations(
                choice=choice,
                tokens=[
                    TokenActivations(
                        index=token.position - start,
                        token=served.texts.text(ids[token.position - start]),
                        features=[
                            FeatureActivation(
                                feature=active.feature,
                                label=known[active.feature].label,
                                activation=active.activation,
                                h_max=known[active.feature].h_max,
                            )
                            for active in token.features
                        ],
                    )
                    for token in tokens
                    if token.position - start < len(ids)
                ],
            )
        )
    return made
