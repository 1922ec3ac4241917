"""Genomes of policies: how many columns, from how many clusters, at which overlap anew, by which weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emoprune.errors import ContractError
from emoprune.problems.tables.streams.windows import Policy
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["CLUSTERS", "EVERY_WINDOW", "NEVER", "THRESHOLDS", "PolicyGenes"]

CLUSTERS = tuple(range(2, 11))
NEVER, EVERY_WINDOW = 0.0, 1.01  # overlaps below which no window chooses anew, and each does
THRESHOLDS = (NEVER, 0.3, 0.5, 0.7, 0.9, EVERY_WINDOW)
POLICY = 4  # genes of a policy
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class PolicyGenes:
    """Genomes of policies for a stream of so many columns, and of how many channels of a network's layers stay.

    Args:
        columns: Of the stream.
        channels: Of the layers of the network that learns, unpruned; none of other learners.
    """

    columns: int
    channels: tuple[int, ...] = ()
    space: Space = field(init=False)

    def __post_init__(self) -> None:
        levels = (
            ("columns kept", self.columns),
            ("clusters", len(CLUSTERS)),
            ("overlap below which columns are chosen anew", len(THRESHOLDS)),
            ("weight of mutual information", len(WEIGHTS)),
        )
        layers = tuple(
            (f"channels kept of layer {number}", count) for number, count in enumerate(self.channels, start=1)
        )
        genes = tuple(Gene(name, count, GeneKind.ORDERED) for name, count in (*levels, *layers))
        object.__setattr__(self, "space", Space(genes))

    @property
    def unpruned(self) -> IntArray:
        """The genome that keeps all columns and channels."""
        return np.array([self.columns - 1, 0, 0, 0, *self._all_channels], dtype=np.int64)

    @property
    def _all_channels(self) -> list[int]:
        return [count - 1 for count in self.channels]

    def widths(self, genome: IntArray) -> tuple[int, ...]:
        """Return how many channels of each layer a genome of shape (genes,) keeps."""
        return tuple(level + 1 for level in genome[POLICY:].tolist())

    def decoded(self, genome: IntArray) -> Policy:
        """Return what a genome of shape (genes,) stands for."""
        keep, clusters, threshold, weight = genome[:POLICY].tolist()
        return Policy(keep + 1, CLUSTERS[clusters], THRESHOLDS[threshold], WEIGHTS[weight])

    def encoded(self, policy: Policy) -> IntArray:
        """Return the genome of a policy, with all channels.

        Raises:
            ContractError: There is none.
        """
        levels = (range(1, self.columns + 1), CLUSTERS, THRESHOLDS, WEIGHTS)
        wanted = (policy.keep, policy.clusters, policy.threshold, policy.information_weight)
        try:
            found = [known.index(own) for known, own in zip(levels, wanted, strict=True)]
            return np.array([*found, *self._all_channels], dtype=np.int64)
        except ValueError as error:
            raise ContractError(
                f"expected 1 to {self.columns} columns, {CLUSTERS[0]} to {CLUSTERS[-1]} clusters, a threshold of "
                f"{THRESHOLDS} and a weight of {WEIGHTS}, found {policy}"
            ) from error

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes in which genes without effect are 0: of all columns, or of clusters that have no weight."""
        found = genomes.copy()
        found[found[:, 0] == self.columns - 1, 1:POLICY] = 0
        found[found[:, 3] == len(WEIGHTS) - 1, 1] = 0
        return found
