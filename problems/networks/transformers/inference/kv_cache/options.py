"""What can be said of a search over caches of keys and values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.measures import KV_CACHE
from emoprune.problems.networks.transformers.inference.reading.options import ReadingOptions

__all__ = ["KvCacheOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KvCacheOptions(ReadingOptions):
    """What a layer's cache may keep of what was read.

    Args:
        budgets: Which shares of the context a layer may keep, beside all of it.
        sinks: How many of the first tokens always stay.
        window: How many of the last tokens always stay.
        selectors: What says how important a key is, of which a gene chooses one: methods by name (`emoprune list
            selectors`), or mappings of a name and options.
        representatives: Which shares of a budget, beyond sinks and window, may go to representatives of what is
            dropped instead of to the most important keys.

    Raises:
        ConfigError: A number makes no sense; it says which.
    """

    problem: ClassVar[str] = KV_CACHE

    budgets: Sequence[float] = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)
    sinks: int = 4
    window: int = 8
    selectors: Sequence[str | Mapping[str, Any]] = ("h2o", "snapkv", "sinks-and-window")
    representatives: Sequence[float] = (0.0, 0.25, 0.5)
    references: Sequence[str | Mapping[str, Any]] = ("uniform", "kvcrush", "random")

    def __post_init__(self) -> None:
        ReadingOptions.__post_init__(self)
        if self.sinks < 0 or self.window < 1:
            raise ConfigError(
                f"sinks, window: expected at least 0 sinks and a window of 1, found {self.sinks} and {self.window}"
            )
        for name in ("budgets", "representatives", "selectors"):
            if not getattr(self, name):
                raise ConfigError(f"{name}: expected one or more, found none")
        if any(not 0 < share < 1 for share in self.budgets) or sorted(set(self.budgets)) != list(self.budgets):
            raise ConfigError(f"budgets: expected rising shares between 0 and 1, found {list(self.budgets)}")
        shares = self.representatives
        if any(not 0 <= share <= 1 for share in shares) or sorted(set(shares)) != list(shares):
            raise ConfigError(f"representatives: expected rising shares from 0 to 1, found {list(shares)}")
        least = math.ceil(self.budgets[0] * self.context)
        if least < self.sinks + self.window:
            raise ConfigError(
                f"budgets: {self.budgets[0]:g} of a context of {self.context} tokens is {least}, fewer than the "
                f"{self.sinks} sinks and the window of {self.window} that always stay; raise it, or keep less always"
            )
