"""The Anthropic SDK's errors by what they mean for a request: was it carried out, may it be sent again?"""

import anthropic
import httpx2

from steersman_training.labelling.transports import BackendError, TurnedAwayError, UnsureError

HOPELESS = {401, 402, 403, 404}
"""Key, payment, permission, address: the same for every question."""
MALFORMED = {400, 413, 422}
"""The question itself."""


class MalformedError(RuntimeError):
    """The service does not take this question, whoever else it answers."""


def as_ours(
    error: anthropic.APIError,
) -> TurnedAwayError | UnsureError | BackendError | MalformedError:
    """What an error means for a question. An answer with an error status was not billed."""
    if isinstance(error, anthropic.APIStatusError):
        said = f"HTTP {error.status_code}: {error.api_message or error.message}"
        if error.status_code in HOPELESS:
            return BackendError(said)
        if error.status_code in MALFORMED:
            return MalformedError(said)
        return TurnedAwayError(said, retry_after(error.response.headers))
    cause = error.__cause__
    if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)):
        return TurnedAwayError(f"cannot be reached: {cause}")
    return UnsureError(f"no whole answer came: {cause or error}")


def retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds that the service asks to wait."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    return None
