"""What is asked of our engine, in its own words."""

from collections.abc import Sequence

from steersman_engine.edits import AffineEdit
from steersman_engine.engine import GenerateRequest, Sampling
from steersman_engine.prompt import Kind, Prompt


def greedy_requests(
    prompts: Sequence[Sequence[int]], new_tokens: int, edits: Sequence[Sequence[tuple[int, float]]]
) -> list[GenerateRequest]:
    """A greedy request for each prompt, whose edits set features to so many residual units."""
    return [
        GenerateRequest(
            prompt=Prompt(tuple(ids), (1,) * len(ids), (Kind.CONTENT,) * len(ids)),
            max_tokens=new_tokens,
            sampling=Sampling(temperature=0),
            edits=tuple(AffineEdit(feature, 0.0, add) for feature, add in its_edits),
        )
        for ids, its_edits in zip(prompts, edits, strict=True)
    ]
