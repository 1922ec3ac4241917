"""Pruning of a cache: what each layer of a language model keeps of the keys and values of what it has read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from emoprune import plugins
from emoprune.contracts import Description, Paper, about
from emoprune.problems.networks.transformers.inference.kv_cache.layout import CacheLayout
from emoprune.problems.networks.transformers.inference.kv_cache.options import KvCacheOptions
from emoprune.problems.networks.transformers.inference.kv_cache.references.inputs import CacheInputs
from emoprune.problems.networks.transformers.inference.kv_cache.selectors.contract import KeySelector
from emoprune.problems.networks.transformers.inference.reading.problem import ReadingProblem
from emoprune.space import IntArray

__all__ = ["KvCache"]


@about(
    "pruning",
    ["tokens"],
    cost="what follows the texts is run once; what was read before it is taken from records",
    papers=[Paper("KVCrush: Key value cache size-reduction using similarity in head-behaviour", "2503.00022")],
)
class KvCache(ReadingProblem):
    """Prune the cache of a language model: a budget for each layer, and what says which keys stay within it.

    A budget holds for every token that follows, and is a share of what was read. Sinks and the newest tokens always
    stay, then the most important keys, then representatives of what is dropped. Positions stay those in the text.
    """

    options: ClassVar = KvCacheOptions
    _layout: CacheLayout

    def __init__(self, **given: Any) -> None:
        own = self._options_of_cache = KvCacheOptions(**given)
        selectors: Mapping[str, KeySelector] = plugins.methods(
            "selector", own.selectors, own.problem, option="selectors"
        )
        super().__init__(
            own, {name.rpartition(":")[2]: each.importance() for name, each in selectors.items()}, "cache-bytes"
        )

    def made_layout(self, layers: int) -> CacheLayout:
        """Return what genomes of a model with so many layers mean."""
        own = self._options_of_cache
        shares, spread = (*own.budgets, 1.0), tuple(own.representatives)
        return CacheLayout(layers, shares, self._importances, spread, own.sinks, own.window)

    def reference_inputs(self, seed: int) -> CacheInputs:
        """Return what reference methods look at."""
        return CacheInputs(self._layout, np.random.default_rng([seed, 41]))

    def describe(self, genome: IntArray) -> Description:
        """Say what each layer keeps of a context, and what says which keys."""
        policy = self._layout.policy(genome)
        mean = float(np.mean(policy.shares))
        return {
            "mean budget": f"{mean:.3g} of the context",
            "budgets": " ".join(f"{share:g}" for share in policy.shares),
            "importance": self._layout.importance(genome),
            "representatives": policy.representatives,
        }
