"""What a labelling job is told."""

from pathlib import Path
from typing import Any

import msgspec

from steersman_training.labelling.stage import write_whole

JOB_FILE = "job.json"


class LabelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job; kept in its folder, so that `resume` needs nothing else."""

    model: str
    layer: int
    sae: str
    """Path of the SAE in canonical form."""
    sink_norm: float
    """Positions with a longer residual are attention sinks."""
    source: str = "sharegpt"
    tokens: int = 1_000_000
    """Stop reading after about so many."""
    max_length: int = 512
    """Tokens after which a conversation is cut."""
    seed: int = 0
    """Fixes the order of the documents, and everything that is drawn."""
    batch_tokens: int = 4096
    """Tokens, padding included, in one forward pass."""
    explainer: str = "statistical"
    """`statistical`, or `claude`, `openai`, `export`."""
    judges: tuple[str, ...] = ("embedding", "lexical")
    """Of the same names, or `embedding` and `lexical`; the first chooses in refinement and ranks features."""
    moderator: str = "rules"
    """`rules`, or besides them `claude`, `openai`, `export`."""
    llm: dict[str, Any] = {}
    """How language models are reached: fields of `LLMConfig`."""
    features: int | None = None
    """Label and score only so many, those with the most activation mass; None for all."""
    refine_rounds: int = 1
    max_usd: float = 0.0
    """Refuse to start, or to go on, above this."""
    device: str = "cpu"
    dtype: str | None = None
    """Of the model; None is the fastest that the device has."""
    cache_dir: str = ""

    @classmethod
    def load(cls, folder: Path) -> "LabelConfig":
        """The job in `folder`.

        Raises:
            FileNotFoundError: There is none.
        """
        path = folder / JOB_FILE
        if not path.is_file():
            raise FileNotFoundError(f"{folder} holds no labelling job: start one with `steersman label run`.")
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def save(self, folder: Path) -> None:
        """Keep it in `folder`; one that is there is replaced, and steps that did not change are kept."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / JOB_FILE, msgspec.json.format(msgspec.json.encode(self), indent=1))
