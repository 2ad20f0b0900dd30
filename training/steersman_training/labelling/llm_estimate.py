"""What asking a language model would take."""

from collections.abc import Sequence

from steersman_training.labelling.ask import Ask, Usage, size_in_bytes
from steersman_training.labelling.asking import Asker
from steersman_training.labelling.prices import BYTES_A_TOKEN, OVERHEAD_TOKENS
from steersman_training.labelling.protocols import Estimate

ENOUGH = 30
"""Answers from which the ledger's own figures are taken instead of guesses."""
MARGIN = 1.5
"""Of the upper end for input tokens."""


def estimate(asker: Asker, asks: Sequence[Ask], total: int, typical_output: int) -> Estimate:
    """For `total` questions of which `asks` is a fair sample.

    Once the job has some answers for the stage and model, tokens are what those took. The upper end counts
    every answer at its longest; questions that the ledger can answer are not taken off.
    """
    if not asks or not total:
        return Estimate()
    output = float(typical_output)
    inputs = sum(size_in_bytes(ask) for ask in asks) / len(asks) / BYTES_A_TOKEN + OVERHEAD_TOKENS / 4
    ((count, seen_in, seen_out),) = asker.ledger.rows(
        """SELECT count(*), avg(input_tokens + cache_write_tokens + cache_read_tokens), avg(output_tokens)
        FROM requests WHERE state IN ('answered', 'failed') AND stage = ? AND model = ? AND prompt_version = ?
        AND input_tokens IS NOT NULL""",
        (asks[0].stage, asks[0].model, asks[0].prompt_version),
    )
    if count >= ENOUGH:
        inputs, output = seen_in, seen_out
    longest = max(ask.max_tokens for ask in asks)
    likely = Usage(input_tokens=round(inputs), output_tokens=round(output))
    worst = Usage(input_tokens=round(inputs * MARGIN), output_tokens=longest)
    transport = asker.transport
    return Estimate(
        requests=total,
        input_tokens=round(inputs * total),
        output_tokens=round(output * total),
        usd=transport.usd(likely, total) * total,
        usd_high=transport.usd(worst, total) * total,
        seconds=transport.seconds(total),
    )
