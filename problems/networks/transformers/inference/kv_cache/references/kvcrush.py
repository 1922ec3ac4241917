"""A quarter of every budget for representatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.problems.networks.transformers.inference.kv_cache.references.inputs import CacheInputs, at_most
from emoprune.problems.networks.transformers.inference.measures import KV_CACHE

__all__ = ["KVCrush"]


@about(
    "pruning",
    ["tokens"],
    serves=[KV_CACHE],
    cost="nothing is run",
    papers=[Paper("KVCrush: Key value cache size-reduction using similarity in head-behaviour", "2503.00022")],
)
@dataclass(frozen=True, slots=True)
class KVCrush:
    """The same budget in every layer, a share of it for representatives of what is dropped.

    A dropped key's signature says which heads would keep it; representatives are picked at even distances of all
    signatures from one, so that keys of every behaviour stay.

    Source: KVCrush: Key value cache size-reduction using similarity in head-behaviour (arXiv 2503.00022).

    Args:
        percentages: Of the context; of the budgets there are, the largest within each.
        representatives: Their share of a budget, of those there are the nearest.
    """

    percentages: Sequence[float] = (20, 40)
    representatives: float = 0.25

    def found(self, inputs: CacheInputs) -> Found:
        """Return a reference for each percentage, with the first of the importances."""
        layout = inputs.layout
        name = next(iter(layout.importances))
        if max(layout.representatives) == 0:
            return Found(notes=("kvcrush: the config allows no representatives, so there is no such reference",))
        shares = {percentage: at_most(layout, percentage) for percentage in self.percentages}
        return Found(
            tuple(
                Reference(
                    f"kvcrush-{percentage:g}".replace(".", "_"),
                    layout.genome([share] * layout.layers, name, self.representatives),
                )
                for percentage, share in shares.items()
                if share is not None
            )
        )
