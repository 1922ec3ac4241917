"""The same budget in every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.problems.networks.transformers.inference.kv_cache.references.inputs import CacheInputs, at_most
from emoprune.problems.networks.transformers.inference.measures import KV_CACHE

__all__ = ["Uniform"]


@about("pruning", ["tokens"], serves=[KV_CACHE], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Uniform:
    """The same budget in every layer and no representatives, for each that says how important keys are.

    Args:
        percentages: Of the context; of the budgets there are, the largest within each.
    """

    percentages: Sequence[float] = (20, 40)

    def found(self, inputs: CacheInputs) -> Found:
        """Return a reference for each percentage and importance, as `h2o-20`."""
        layout = inputs.layout
        shares = {percentage: at_most(layout, percentage) for percentage in self.percentages}
        return Found(
            tuple(
                Reference(f"{name}-{percentage:g}".replace(".", "_"), layout.genome([share] * layout.layers, name))
                for percentage, share in shares.items()
                if share is not None
                for name in layout.importances
            )
        )
