"""What a request wants the model to read, in tokens."""

from collections.abc import Sequence

from steersman.types import Message
from steersman_engine.prompt import Prompt, from_tokens, render
from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError
from steersman_server.plans.calling import Calling
from steersman_server.plans.tool_turns import check_tool_turns, fields_of_tools
from steersman_server.requests.validation import check_length
from steersman_server.served import ServedModel


def conversation(
    messages: Sequence[Message],
    served: ServedModel,
    config: ServerConfig,
    *,
    generate: bool = True,
    param: str = "messages",
    calling: Calling | None = None,
) -> Prompt:
    """The chat template around some messages, and tools; with `generate` it ends where the answer begins.

    Raises:
        RequestError: The template refuses them, or they are more than the server takes.
    """
    check_length(messages, config.max_messages, param)
    check_tool_turns(messages, served, param, answered=generate)
    dicts = []
    for message in messages:
        role = "system" if message.role == "developer" else message.role
        named = {} if message.name is None else {"name": message.name}
        dicts.append({"role": role, "content": message.text, **named, **fields_of_tools(message)})
    try:
        tools = calling and calling.tools
        prompt = render(served.tokenizer, dicts, generate=generate, tools=tools)
    except ValueError as error:
        raise RequestError(str(error), param=param, code="invalid_value") from error
    return fitting(prompt, served, config, param)


def raw(given: str | Sequence[int], served: ServedModel, config: ServerConfig, param: str) -> Prompt:
    """A text, begun as the model's texts begin and with its special tokens read, or token ids as they are.

    Raises:
        RequestError: It is empty, or has an id that is no token.
    """
    if isinstance(given, str):
        given = served.tokenizer.encode(given)
    if not given:
        raise RequestError(
            f"Invalid '{param}': there is no token to continue.", param=param, code="empty_array"
        )
    for token_id in given:
        if not 0 <= token_id < len(served.tokenizer):
            message = (
                f"Invalid '{param}': {token_id} is no token; the ids are 0 to {len(served.tokenizer) - 1}."
            )
            raise RequestError(message, param=param, code="invalid_value")
    return fitting(from_tokens(given), served, config, param)


def fitting(prompt: Prompt, served: ServedModel, config: ServerConfig, param: str) -> Prompt:
    """The prompt, if there is room for a token after it.

    Raises:
        RequestError: There is none, or the prompt is longer than the server takes.
    """
    if config.max_prompt_tokens is not None and len(prompt) > config.max_prompt_tokens:
        message = (
            f"This server takes prompts of at most {config.max_prompt_tokens} tokens. However, yours has"
            f" {len(prompt)}. Please shorten it."
        )
        raise RequestError(message, param=param, code="context_length_exceeded")
    longest = served.engine.info.max_positions
    if len(prompt) >= longest:
        message = (
            f"This model's maximum context length is {longest} tokens, an answer included. However,"
            f" your messages resulted in {len(prompt)} tokens. Please shorten them."
        )
        raise RequestError(message, param=param, code="context_length_exceeded")
    return prompt
