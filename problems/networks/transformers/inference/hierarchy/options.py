"""What can be said of a search over keys that are found chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.measures import HIERARCHY
from emoprune.problems.networks.transformers.inference.reading.options import ReadingOptions

__all__ = ["HierarchyOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchyOptions(ReadingOptions):
    """How many keys each layer attends to, and the stages in which they are found.

    Args:
        shares: Shares of the prompt's keys that the last stage may keep, rising, below 1; beside all of them.
        stages: Keys in a chunk at each stage, powers of two that fall, of which a gene chooses a list.
        widenings: How many times as many keys an earlier stage may keep as the one behind it, rising from 1.
        sinks: How many of the first tokens are always attended to.
        window: How many of the newest tokens are.

    Raises:
        ConfigError: A number makes no sense; it says which.
    """

    problem: ClassVar[str] = HIERARCHY

    shares: Sequence[float] = (0.05, 0.1, 0.2, 0.4)
    stages: Sequence[Sequence[int]] = ((64, 16, 4), (64, 8), (32, 8), (16, 4))
    widenings: Sequence[float] = (1.5, 2.0, 4.0)
    sinks: int = 4
    window: int = 8
    references: Sequence[str | Mapping[str, Any]] = ("uniform", "random")

    def __post_init__(self) -> None:
        ReadingOptions.__post_init__(self)
        own = self.shares
        if not own or any(not 0 < each < 1 for each in own) or sorted(set(own)) != list(own):
            raise ConfigError(f"shares: expected rising shares between 0 and 1, found {list(own)}")
        for chunks in self.stages:
            powers = all(each >= 1 and each & (each - 1) == 0 for each in chunks)
            if not chunks or not powers or sorted(set(chunks), reverse=True) != list(chunks):
                raise ConfigError(f"stages: expected lists of falling powers of two, found {list(chunks)}")
        if not self.stages:
            raise ConfigError("stages: expected one or more lists, found none")
        wide = self.widenings
        if not wide or any(each < 1 for each in wide) or sorted(set(wide)) != list(wide):
            raise ConfigError(f"widenings: expected rising numbers of 1 or more, found {list(wide)}")
        if self.sinks < 0 or self.window < 1:
            raise ConfigError(
                f"sinks, window: expected at least 0 sinks and a window of 1, found {self.sinks} and {self.window}"
            )
