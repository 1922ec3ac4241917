"""From genomes to stages in which keys are found, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.problems.networks.transformers.inference.standalone.evicting import Policy
from emoprune.problems.networks.transformers.inference.standalone.hierarchy import Hierarchy
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["NAME", "HierarchyLayout"]

NAME = "recent"  # of the importance that a cache wants, which here drops nothing


@dataclass(frozen=True, slots=True)
class HierarchyLayout:
    """A gene per layer for how many keys it keeps and one for its stages; one for how much wider earlier stages are.

    Attributes:
        layers: How many the model has.
        shares: Of the prompt's keys, rising; the last is 1, all of them.
        stages: Keys in a chunk at each stage, of which a layer has one list.
        widenings: How many times as many keys an earlier stage keeps.
        sinks: How many of the first tokens are always attended to.
        window: How many of the newest tokens are.
    """

    layers: int
    shares: Sequence[float]
    stages: Sequence[Sequence[int]]
    widenings: Sequence[float]
    sinks: int
    window: int

    @property
    def space(self) -> Space:
        """The genes."""
        width = len(str(self.layers - 1))
        names = [f"layer{i:0{width}d}" for i in range(self.layers)]
        return Space(
            (
                *(Gene(f"{name} keys", len(self.shares), GeneKind.ORDERED) for name in names),
                *(Gene(f"{name} stages", len(self.stages), GeneKind.CATEGORY) for name in names),
                Gene("widening", len(self.widenings), GeneKind.ORDERED),
            )
        )

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes that stand for others: a layer that keeps all keys has no stages."""
        own: IntArray = genomes.copy()
        full = self.space.full
        whole = own[:, : self.layers] == len(self.shares) - 1
        stages = own[:, self.layers : -1]
        stages[whole] = len(self.stages) - 1
        own[whole.all(axis=1)] = full
        return own

    def policy(self, genome: IntArray) -> Policy:
        """Return what a genome of shape (genes,) attends to."""
        own = genome.tolist()
        thin = tuple(
            None
            if self.shares[level] >= 1
            else Hierarchy(
                self.shares[level], tuple(self.stages[place]), self.widenings[own[-1]], self.sinks, self.window
            )
            for level, place in zip(own[: self.layers], own[self.layers : -1], strict=True)
        )
        return Policy((1.0,) * self.layers, 0, 1, 0.0, Recent(), thin)

    def importance(self, genome: IntArray) -> str:  # noqa: ARG002  # the contract's; nothing is dropped
        """Return the name of what scores keys."""
        return NAME

    def genome(self, level: int, stages: int, widening: int) -> IntArray:
        """Return the genome with one number of keys, and the same stages, in every layer."""
        own: IntArray = np.array([level] * self.layers + [stages] * self.layers + [widening], dtype=np.int64)
        (found,) = self.canonical(own[np.newaxis])
        return np.asarray(found, dtype=np.int64)
