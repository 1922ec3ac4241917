"""Heavy hitters: keys that got much attention get more of it."""

from __future__ import annotations

from emoprune.contracts import Paper, about
from emoprune.problems.networks.transformers.inference.measures import KV_CACHE
from emoprune.problems.networks.transformers.inference.standalone.importance import Accumulated

__all__ = ["H2O"]


@about(
    "pruning",
    ["tokens"],
    serves=[KV_CACHE],
    cost="the attention that is computed anyway, added up",
    papers=[
        Paper("H2O: Heavy-Hitter Oracle for Efficient Generative Inference of Large Language Models", "2306.14048")
    ],
)
class H2O:
    """Keep the keys that got most attention from all queries so far, the heads of a layer taken together.

    The paper keeps such keys for each head apart; here a layer's heads share them, so that what goes is a token.

    Source: H2O: Heavy-Hitter Oracle for Efficient Generative Inference of Large Language Models (arXiv 2306.14048).
    """

    def importance(self) -> Accumulated:
        """Return what scores keys while a text goes on."""
        return Accumulated()
