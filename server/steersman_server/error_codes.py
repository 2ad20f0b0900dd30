"""Every `code` that an error may carry: its status, its type, and when it comes.

`docs/errors.md` shows this table, and a test holds the two together.
"""

from dataclasses import dataclass

from steersman_catalog.moderation import CATEGORIES

INVALID, RATE = "invalid_request_error", "rate_limit_error"


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for."""

    status: int
    when: str
    type: str = INVALID


CODES = {
    "invalid_json": Code(400, "The body is empty, is not JSON, or is nested too deeply."),
    "invalid_type": Code(400, "A field holds another type than it must; nothing is converted."),
    "invalid_value": Code(400, "A field holds what it may not, or two fields contradict each other."),
    "missing_required_parameter": Code(400, "A field that is needed is absent or null."),
    "unknown_parameter": Code(400, "No such field; the message names the nearest."),
    "unsupported_parameter": Code(
        400, "OpenAI has this field; this server or its model cannot do what it asks."
    ),
    "unsupported_value": Code(400, "OpenAI has this value; this server or its model cannot do what it asks."),
    "empty_array": Code(400, "A list that must hold something is empty."),
    "empty_string": Code(400, "A text that must hold something is empty."),
    "array_above_max_length": Code(400, "A list is too long."),
    "string_above_max_length": Code(400, "A text is too long."),
    "integer_below_min_value": Code(400, "A whole number is too small."),
    "integer_above_max_value": Code(400, "A whole number is too large."),
    "decimal_below_min_value": Code(400, "A number is too small."),
    "decimal_above_max_value": Code(400, "A number is too large: a strength beyond the server's limit, say."),
    "edit_without_effect": Code(400, "An edit could change nothing, so the answer would not be steered."),
    "feature_refused": Code(400, "Moderation forbids to raise this feature; it may be lowered."),
    "context_length_exceeded": Code(400, "The prompt leaves no room for an answer."),
    "too_many_positions": Code(400, "Prompt and answer are longer than the engine can explain or inspect."),
    **{
        f"input_blocked_{category}": Code(400, f"Moderation blocks texts of the category `{category}`.")
        for category in CATEGORIES
    },
    "invalid_api_key": Code(401, "No API key, or a wrong one."),
    "key_not_allowed": Code(403, "The API key's role does not allow this."),
    "host_not_allowed": Code(403, "The Host header names another server than this one."),
    "features_hidden": Code(403, "Features that moderation hides were asked for."),
    "model_not_found": Code(404, "No such model, nor variant of it."),
    "feature_not_found": Code(404, "The SAE has no such feature."),
    "variant_not_found": Code(404, "No variant of that name."),
    "unknown_url": Code(404, "No such path."),
    "method_not_supported": Code(405, "The path does not take this method; `Allow` lists those it does."),
    "body_timeout": Code(408, "The client took too long to send the body."),
    "deadline_exceeded": Code(
        408, "The server had not enough time to begin the answer, or to inspect or explain.", RATE
    ),
    "variant_exists": Code(409, "A variant of that name is there already."),
    "request_too_large": Code(413, "The body is larger than the server accepts."),
    "unsupported_media_type": Code(415, "The body is not declared as `application/json`."),
    "client_closed_request": Code(499, "The client went away; this is for the log."),
    "rate_limit_exceeded": Code(
        429, "The key has used its requests or tokens of this minute; `Retry-After` says when.", RATE
    ),
    "concurrency_limit_exceeded": Code(429, "The key has too many requests under way.", RATE),
    "engine_busy": Code(429, "Too many requests wait; try again after `Retry-After` seconds.", RATE),
    "internal_error": Code(500, "The server failed; its log has the request id.", "server_error"),
    "moderation_unavailable": Code(
        503, "The moderation endpoint gave no answer, and the server then takes nothing.", "server_error"
    ),
    "storage_failed": Code(
        507, "The server's disk is full or cannot be written; nothing was changed.", "server_error"
    ),
    "not_ready": Code(503, "The server is starting or stopping.", "server_error"),
}


def table() -> str:
    """The codes as a table in Markdown."""
    rows = [f"| {code.status} | `{name}` | `{code.type}` | {code.when} |" for name, code in CODES.items()]
    return "\n".join(["| status | code | type | when |", "|---|---|---|---|", *rows])
