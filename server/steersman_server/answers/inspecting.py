"""What fires on a conversation, token by token and over all of it."""

from collections import defaultdict
from collections.abc import Sequence

from steersman.types import InspectedActivation, InspectedFeature, InspectedToken, Inspection, InspectRequest
from steersman_engine.engine import TokenFeatures
from steersman_engine.prompt import ROLES, Kind, Prompt
from steersman_server.served import ServedModel

KINDS = {Kind.BOS: "bos", Kind.TEMPLATE: "template", Kind.CONTENT: "content", Kind.END: "end"}


async def inspection_of(
    data: InspectRequest, model: str, prompt: Prompt, found: Sequence[TokenFeatures], served: ServedModel
) -> Inspection:
    """The answer to a request, of the features that the engine found on each token."""
    looked_at = [
        token
        for token in found
        if not data.skip_template or (prompt.kinds[token.position] is Kind.CONTENT and not token.is_sink)
    ]
    return Inspection(
        object="inspection",
        model=model,
        num_tokens=len(looked_at),
        features=await _features(data, looked_at, served),
        tokens=[_token(token, prompt, data.top_k_per_token, served) for token in looked_at]
        if data.top_k_per_token
        else [],
    )


def _token(token: TokenFeatures, prompt: Prompt, top_k: int, served: ServedModel) -> InspectedToken:
    at = token.position
    return InspectedToken(
        position=at,
        token=served.texts.text(prompt.token_ids[at]),
        role=ROLES[prompt.roles[at]],
        kind=KINDS[prompt.kinds[at]],  # pyright: ignore[reportArgumentType]
        is_sink=token.is_sink,
        features=[
            InspectedActivation(active.feature, active.activation) for active in token.features[:top_k]
        ],
    )


async def _features(
    data: InspectRequest, tokens: Sequence[TokenFeatures], served: ServedModel
) -> list[InspectedFeature]:
    """The highest by the pooling that was asked for; those asked for by index are there in any case."""
    fired: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for token in tokens:
        for active in token.features:
            if active.activation > 0 or data.feature_edits:
                fired[active.feature].append((active.activation, token.position))
    if not tokens:
        return []
    for index in data.features or ():
        fired.setdefault(index, [])
    known = await served.named(fired)
    pooled = [
        InspectedFeature(
            feature=index,
            label=known[index].label,
            h_max=known[index].h_max,
            max=max((value for value, _ in values), default=0.0),
            mean=sum(value for value, _ in values) / len(tokens),
            sum=sum(value for value, _ in values),
            count=len(values),
            position=max(values, default=(0.0, tokens[0].position))[1],
        )
        for index, values in fired.items()
    ]
    pooled.sort(key=lambda feature: (-getattr(feature, data.sort_by), feature.feature))
    return pooled[: max(data.top_k, len(data.features or ()))]
