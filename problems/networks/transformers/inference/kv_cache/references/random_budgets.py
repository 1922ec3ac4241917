"""Budgets drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, Reference, about
from emoprune.problems.networks.transformers.inference.kv_cache.references.inputs import CacheInputs
from emoprune.problems.networks.transformers.inference.measures import KV_CACHE

__all__ = ["RandomBudgets"]


@about("pruning", ["tokens"], serves=[KV_CACHE], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class RandomBudgets:
    """A budget for each layer drawn at random, and the first of what says how important keys are.

    Args:
        count: How many policies.
    """

    count: int = 3

    def found(self, inputs: CacheInputs) -> Found:
        """Return the references, `random-1` and so on."""
        layout = inputs.layout
        drawn = inputs.rng.integers(len(layout.shares), size=(self.count, layout.layers))
        name = next(iter(layout.importances))
        return Found(
            tuple(
                Reference(f"random-{number}", layout.genome(np.asarray(layout.shares)[levels].tolist(), name))
                for number, levels in enumerate(drawn, start=1)
            )
        )
