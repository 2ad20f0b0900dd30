"""Claude, asked and waited for: for some hundred questions, where a batch's wait is not worth its price."""

import anthropic
from anthropic.types import Message

from steersman_training.labelling.ask import Answer, Ask, Usage
from steersman_training.labelling.prices import Price
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import UnsureError
from steersman_training.labelling.transports.claude_errors import MalformedError, as_ours
from steersman_training.labelling.transports.claude_model import ClaudeModel, read_message


class ClaudeMessages:
    """An endpoint; the client's own retries are off, since after a broken connection they may pay twice."""

    def __init__(self, client: anthropic.Anthropic, model: ClaudeModel, price: Price) -> None:
        self.name = f"claude_messages/{model.id}"
        self._client = client.with_options(max_retries=0)
        self._model = model
        self._price = price

    def send(self, ask: Ask) -> Answer:
        """The answer.

        Raises:
            TurnedAwayError: Nothing was done.
            UnsureError: Something may have been.
            BackendError: No question will be answered now.
        """
        try:
            message = self._client.messages.create(**self._model.params(ask, "5m"))
        except anthropic.APIError as error:
            ours = as_ours(error)
            if isinstance(ours, MalformedError):
                return Answer(ask=ask.id, failure=Failure("error", str(ours)))
            raise ours from error
        if not isinstance(message, Message):
            raise UnsureError(f"the answer is no message: {str(message)[:200]}")
        return read_message(ask.id, message)

    def usd(self, usage: Usage) -> float:
        """What a request of such a size costs."""
        return self._price.usd(usage, cache="5m")

    def most_usd(self, ask: Ask) -> float:
        """The most that a question can cost."""
        return self._price.most(ask, max_tokens=self._model.max_tokens_for(ask), cache="5m")
