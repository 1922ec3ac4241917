"""What can be said of a search over the share of attention that a layer computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.measures import TOP_P
from emoprune.problems.networks.transformers.inference.reading.options import ReadingOptions

__all__ = ["TopPOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopPOptions(ReadingOptions):
    """Which share of its attention each layer computes, and how the keys that get it are found.

    Args:
        shares: Shares of the attention that a layer may compute, rising, below 1; beside all of it.
        pages: Shares of the pages of keys that may be looked at, rising, up to 1.
        page: Keys in a page.
        dense: How many of the first layers may be left whole, rising from 0.
        bits: To how many bits keys may be rounded to find those that matter, rising; 32 leaves them as they are.

    Raises:
        ConfigError: A number makes no sense; it says which.
    """

    problem: ClassVar[str] = TOP_P

    shares: Sequence[float] = (0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
    pages: Sequence[float] = (0.25, 0.5, 1.0)
    page: int = 16
    dense: Sequence[int] = (0, 2, 4)
    bits: Sequence[int] = (2, 4, 8, 32)
    references: Sequence[str | Mapping[str, Any]] = ("uniform", "random")

    def __post_init__(self) -> None:
        ReadingOptions.__post_init__(self)
        self._check("shares", self.shares, 0, 1, open_above=True)
        self._check("pages", self.pages, 0, 1)
        self._check("dense", self.dense, -1, 10_000)
        self._check("bits", self.bits, 0, 32)
        if self.page < 1:
            raise ConfigError(f"page: expected 1 or more keys, found {self.page}")

    def _check(self, name: str, own: Sequence[float], low: float, high: float, *, open_above: bool = False) -> None:
        outside = any(each <= low or each > high or (open_above and each == high) for each in own)
        if not own or outside or sorted(set(own)) != list(own):
            raise ConfigError(
                f"{name}: expected rising numbers above {low:g} and {'below' if open_above else 'up to'} {high:g}, "
                f"found {list(own)}"
            )
