"""What requests cost: one table of prices, and the arithmetic on it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from steersman_training.labelling.ask import Ask, Usage, size_in_bytes

TABLE = Path(__file__).with_name("prices.toml")
PER = 1_000_000
OVERHEAD_TOKENS = 800
"""More than a service adds of its own for tools, output formats and the turns' frame."""
BYTES_A_TOKEN = 3.0
"""A low guess for mixed text, for estimates; caps count a token a byte."""

Cache = Literal["none", "5m", "1h"]


class Price(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dollars a million tokens, and factors."""

    input: float
    output: float
    cache_write_5m: float = 1.25
    cache_write_1h: float = 2.0
    cache_read: float = 0.1
    batch: float = 0.5

    def usd(self, usage: Usage, *, cache: Cache = "none", batch: bool = False) -> float:
        """What was billed; `cache` says how long what was written is kept."""
        inputs = (
            usage.input_tokens
            + usage.cache_write_tokens * self._write(cache)
            + usage.cache_read_tokens * self.cache_read
        )
        whole = (inputs * self.input + usage.output_tokens * self.output) / PER
        return whole * (self.batch if batch else 1.0)

    def most(self, ask: Ask, *, max_tokens: int, cache: Cache = "none", batch: bool = False) -> float:
        """The most that a question can cost: a token a byte, all written to the cache, the longest answer."""
        tokens = size_in_bytes(ask) + OVERHEAD_TOKENS
        usage = Usage(input_tokens=0, cache_write_tokens=tokens, output_tokens=max_tokens)
        return self.usd(usage, cache=cache, batch=batch)

    def _write(self, cache: Cache) -> float:
        return {"none": 1.0, "5m": self.cache_write_5m, "1h": self.cache_write_1h}[cache]


FREE = Price(input=0.0, output=0.0)


def load_prices(more: Path | None = None) -> dict[str, Price]:
    """The table by model, with that of a file of one's own over it.

    Raises:
        ValueError: The file is no table of prices.
    """
    prices = _read(TABLE)
    if more is not None:
        prices |= _read(more)
    return prices


def price_of(model: str, prices: Mapping[str, Price]) -> Price:
    """A model's price.

    Raises:
        ValueError: It is in no table: without it no cap could hold.
    """
    if model not in prices:
        raise ValueError(
            f'No price is known for the model "{model}". Give it in a file, --llm prices=FILE: '
            f'["{model}"], then input = and output =, in dollars a million tokens. Known: {", ".join(prices)}'
        )
    return prices[model]


def _read(path: Path) -> dict[str, Price]:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), dict[str, Price])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{path} is no table of prices: {error}.") from error
