"""Keys that the end of a prompt looks at."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.inference.measures import KV_CACHE
from emoprune.problems.networks.transformers.inference.standalone.importance import Observed

__all__ = ["SnapKV"]


@about(
    "pruning",
    ["tokens"],
    serves=[KV_CACHE],
    cost="the attention of a prompt's last queries",
    papers=[Paper("SnapKV: LLM Knows What You are Looking for Before Generation", "2404.14469")],
)
@dataclass(frozen=True, slots=True)
class SnapKV:
    """Keep the keys that the prompt's last queries attend to, averaged over neighbours; those that follow add theirs.

    The paper drops nothing after the prompt; here a budget holds at every token, so later attention counts as well.

    Source: SnapKV: LLM Knows What You are Looking for Before Generation (arXiv 2404.14469).

    Args:
        queries: How many of the prompt's last queries are looked at.
        pool: Over how many neighbours, itself among them, a key's score is averaged; an odd number.

    Raises:
        ConfigError: There are no queries, or the number of neighbours is even.
    """

    queries: int = 16
    pool: int = 7

    def __post_init__(self) -> None:
        if self.queries < 1 or self.pool < 1 or self.pool % 2 == 0:
            raise ConfigError(
                f"snapkv: expected queries of 1 or more and an odd pool, found {self.queries} and {self.pool}"
            )

    def importance(self) -> Observed:
        """Return what scores keys while a text goes on."""
        return Observed(self.queries, self.pool)
