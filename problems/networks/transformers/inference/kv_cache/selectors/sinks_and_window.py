"""The first and the last tokens alone."""

from __future__ import annotations

from emoprune.contracts import Paper, about
from emoprune.problems.networks.transformers.inference.measures import KV_CACHE
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent

__all__ = ["SinksAndWindow"]


@about(
    "pruning",
    ["tokens"],
    serves=[KV_CACHE],
    cost="nothing is scored",
    papers=[Paper("Efficient Streaming Language Models with Attention Sinks", "2309.17453")],
)
class SinksAndWindow:
    """Keep the first tokens, on which attention rests where it has nothing to look at, and the newest ones.

    Source: Efficient Streaming Language Models with Attention Sinks (StreamingLLM, arXiv 2309.17453). Keys keep the
    positions that they had in the text, where the paper counts positions within the cache.
    """

    def importance(self) -> Recent:
        """Return what scores keys while a text goes on."""
        return Recent()
