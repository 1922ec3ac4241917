"""From genomes to policies of a cache, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.problems.networks.transformers.inference.reading.contract import Importance
from emoprune.problems.networks.transformers.inference.standalone.evicting import Policy
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["CacheLayout"]


@dataclass(frozen=True, slots=True, eq=False)
class CacheLayout:
    """A gene per layer for its budget, one for what says how important keys are, one for the representatives' share.

    Attributes:
        layers: How many the model has.
        shares: The budgets a layer can have, in shares of the context, rising; the last is all of it.
        importances: What can say how important a key is, by name.
        representatives: The shares of a budget that representatives can have, rising.
        sinks: How many of the first tokens always stay.
        window: How many of the last tokens always stay.
    """

    layers: int
    shares: Sequence[float]
    importances: Mapping[str, Importance]
    representatives: Sequence[float]
    sinks: int
    window: int

    @property
    def space(self) -> Space:
        """The genes."""
        width = len(str(self.layers - 1))
        budgets = [Gene(f"layer{i:0{width}d}", len(self.shares), GeneKind.ORDERED) for i in range(self.layers)]
        return Space(
            (
                *budgets,
                Gene("importance", len(self.importances), GeneKind.CATEGORY),
                Gene("representatives", len(self.representatives), GeneKind.ORDERED),
            ),
            costs=np.array([1.0] * self.layers + [0.0, 0.0]),
        )

    def genome(self, shares: Sequence[float], importance: str, representatives: float = 0.0) -> IntArray:
        """Return the genome of a policy, of each share the nearest level."""
        levels = np.abs(np.subtract.outer(np.asarray(shares), np.asarray(self.shares))).argmin(axis=1)
        spread = int(np.abs(np.asarray(self.representatives) - representatives).argmin())
        return np.array([*levels, list(self.importances).index(importance), spread], dtype=np.int64)

    def policy(self, genome: IntArray) -> Policy:
        """Return what a genome of shape (genes,) keeps."""
        shares = tuple(self.shares[level] for level in genome[: self.layers].tolist())
        spread = float(self.representatives[int(genome[-1])])
        return Policy(shares, self.sinks, self.window, spread, self.importances[self.importance(genome)])

    def importance(self, genome: IntArray) -> str:
        """Return the name of what says how important keys are to a genome."""
        return list(self.importances)[int(genome[-2])]

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes that stand for others: where every layer keeps all, nothing says who stays."""
        full = np.array([len(self.shares) - 1] * self.layers)
        whole = (genomes[:, : self.layers] == full).all(axis=1)
        return np.where(whole[:, np.newaxis], self.space.full, genomes)
