"""How a server behaves, decided once when it starts.

A setting has one name: `max_edits` is `--max-edits` on the command line, `STEERSMAN_MAX_EDITS` in the
environment and `max_edits` in the file. `docs/configuration.md` shows them all, as a test sees to.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from steersman_engine.presets import DEFAULT_MODEL, PRESETS
from steersman_server.keys import ApiKey, Positive, is_loopback
from steersman_server.moderation.policy import OnFailure, PolicyTable
from steersman_server.settings import says

AboveZero = Annotated[float, Meta(gt=0)]

SERVED, LISTENING, KEYS, LIMITS, RECORDS = "What is served", "Listening", "Keys", "Limits", "Records"
MODERATION = "Moderation"


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is served, where, to whom, and how much of it.

    Raises:
        ValueError: Two settings contradict each other.
    """

    model: Annotated[str, says(SERVED, f"{', '.join(PRESETS)}, a Hugging Face id or a folder.")] = (
        DEFAULT_MODEL
    )
    bundle: Annotated[
        str | None, says(SERVED, "A bundle that ships, or a folder; without it the model's own.")
    ] = None
    device: Annotated[str, says(SERVED, "cpu, cuda, cuda:1, ...; auto is CUDA where there is one.")] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16"],
        says(SERVED, "Of the weights; auto is bfloat16 on CUDA and float32 on a CPU."),
    ] = "auto"
    slots: Annotated[Positive, says(SERVED, "Answers written at once, if their memory holds so many.")] = 16
    kv_gib: Annotated[
        AboveZero, says(SERVED, "GiB for keys and values; on a CPU taken only as answers grow.")
    ] = 6.0
    cache_dir: Annotated[
        Path | None, says(SERVED, "Where fetched models are kept.", unset="the user's cache folder")
    ] = None

    host: Annotated[str, says(LISTENING, "Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        Annotated[int, Meta(ge=0, le=65535)], says(LISTENING, "Port to listen on; 0 takes a free one.")
    ] = 8000
    allow_host: Annotated[
        tuple[str, ...],
        says(LISTENING, "Names that requests may use for this server beside its own; * is any."),
    ] = ()
    cors_origin: Annotated[
        tuple[str, ...],
        says(LISTENING, "Web pages that may use the server, such as https://example.org; * is any."),
    ] = ()

    auth: Annotated[bool, says(KEYS, "Whether to ask for keys where others can reach the server.")] = True
    api_key_file: Annotated[
        Path | None, says(KEYS, "Keys, one a line: the key, or sha256:HEX, then its name and role if wanted.")
    ] = None
    keys: Annotated[tuple[ApiKey, ...], says(KEYS, "Keys with limits of their own; see below.")] = ()
    requests_per_minute: Annotated[
        Positive | None, says(KEYS, "Of each key that has no number of its own.", unset="no limit")
    ] = None
    tokens_per_minute: Annotated[
        Positive | None, says(KEYS, "Read and written, of each key, alike.", unset="no limit")
    ] = None
    max_concurrent: Annotated[
        Positive | None, says(KEYS, "Requests of a key at once, streams among them.", unset="no limit")
    ] = 64

    max_body_bytes: Annotated[Positive, says(LIMITS, "Of a request's body.")] = 10_000_000
    max_strength: Annotated[
        AboveZero,
        says(LIMITS, "Of an edit, in units of the feature's h_max, and of a scale's factor."),
    ] = 2.0
    max_edits: Annotated[
        Annotated[int, Meta(ge=1, le=64)], says(LIMITS, "Of a request, its variant's included.")
    ] = 64
    max_messages: Annotated[Positive, says(LIMITS, "Of a conversation.")] = 1024
    max_prompt_tokens: Annotated[
        Positive | None, says(LIMITS, "Of a prompt.", unset="what the model can read")
    ] = None
    max_output_tokens: Annotated[
        Positive | None, says(LIMITS, "Of each answer.", unset="what the model can write")
    ] = None
    max_attribution_tokens: Annotated[
        Positive, says(LIMITS, "Tokens of an answer that one request may have explained.")
    ] = 256
    max_inspect_features: Annotated[
        Annotated[int, Meta(ge=1, le=1024)], says(LIMITS, "Features that one inspection may ask for.")
    ] = 1024
    max_job_tokens: Annotated[
        Positive, says(LIMITS, "Longest text, prompt and answer together, to inspect or explain.")
    ] = 4096
    max_queue: Annotated[Positive, says(LIMITS, "Answers that may wait for a slot.")] = 256
    max_jobs: Annotated[Positive, says(LIMITS, "Attributions and inspections that may wait.")] = 32
    request_timeout_s: Annotated[
        AboveZero,
        says(
            LIMITS,
            "Seconds for an answer, which ends there, or is refused if it has not begun; and for each"
            " attribution or inspection.",
        ),
    ] = 600.0
    client_timeout_s: Annotated[
        AboveZero,
        says(LIMITS, "Seconds a client may take to send its body, or to take in a part of its answer."),
    ] = 60.0

    moderation: Annotated[
        Literal["standard", "off"],
        says(MODERATION, "off: nothing is hidden, refused, flagged or blocked."),
    ] = "standard"
    moderation_policy: Annotated[
        PolicyTable,
        says(MODERATION, "Actions by place and category in place of the standard's; see moderation.md."),
    ] = PolicyTable()
    moderation_url: Annotated[
        str | None,
        says(MODERATION, "An OpenAI-compatible API whose /moderations judges texts in place of the rules."),
    ] = None
    moderation_model: Annotated[str, says(MODERATION, "The model it is asked for.")] = (
        "omni-moderation-latest"
    )
    moderation_key: Annotated[
        str | None, says(MODERATION, "Its API key; in the environment nobody sees it among processes.")
    ] = None
    moderation_timeout_s: Annotated[AboveZero, says(MODERATION, "Seconds that it may take.")] = 5.0
    moderation_failure: Annotated[
        OnFailure,
        says(MODERATION, "open: a text that it gives no answer for is let through; closed: it is not."),
    ] = "open"
    moderation_signals: Annotated[
        Path | None,
        says(MODERATION, "A file of features whose firing is a flag: moderation.md."),
    ] = None

    data_dir: Annotated[
        Path | None, says(RECORDS, "Where variants are kept.", unset="the user's data folder")
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        says(
            RECORDS, "Of the log, which goes to the standard error output; info has a line for each request."
        ),
    ] = "warning"
    log_format: Annotated[Literal["text", "json"], says(RECORDS, "json: each record is an object.")] = "text"
    audit_log: Annotated[
        Path | None, says(RECORDS, "A file for who did what edit, to what effect: operations.md.")
    ] = None
    audit_max_bytes: Annotated[Positive, says(RECORDS, "Of that file, before a new one is begun.")] = (
        50_000_000
    )
    audit_backups: Annotated[Positive, says(RECORDS, "How many full ones are kept.")] = 10
    audit_text: Annotated[
        bool, says(RECORDS, "Whether it has the whole of requests and answers, messages included.")
    ] = False
    tracing: Annotated[
        bool, says(RECORDS, "Whether to send traces by OpenTelemetry; on if its variables ask for it.")
    ] = False
    graceful_shutdown_s: Annotated[
        AboveZero, says(LISTENING, "Seconds that answers under way may take when the server is told to stop.")
    ] = 5.0

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        for what in ("name", "sha256"):
            each = [getattr(key, what) for key in self.keys]
            if twice := {value for value in each if each.count(value) > 1}:
                raise ValueError(f"Two API keys have the same {what}: {', '.join(sorted(twice))}.")
        if self.keys and not self.auth:
            raise ValueError("There are API keys, and --no-auth says to ask for none: leave one of them out.")
        if not self.keys and self.auth and not is_loopback(self.host):
            raise ValueError(
                f"Others can reach {self.host}: give API keys (--api-key-file, STEERSMAN_API_KEYS in the"
                " environment, or [[keys]] in the file), or say --no-auth."
            )

    @property
    def variants(self) -> Path | None:
        """The file that keeps variants; None: memory."""
        return None if self.data_dir is None else self.data_dir / "variants.sqlite"
