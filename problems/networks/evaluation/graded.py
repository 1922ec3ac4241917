"""What all problems on networks and images answer to be measured a few blocks of images at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Link, Row
from emoprune.problems.networks.evaluation.blocks import MOST, Averages, grades_of
from emoprune.problems.networks.evaluation.loaded import Loaded
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["GradedByImages"]


class GradedByImages(ABC):
    """A problem whose scores are means over images, as `emoprune.contracts.Graded` has it."""

    @property
    @abstractmethod
    def _averages(self) -> Averages:
        """Which scores are means over images; none if the problem is measured in full."""

    @property
    @abstractmethod
    def _measuring(self) -> Loaded:
        """What `setup` loaded."""

    @abstractmethod
    def _candidate(self, genome: IntArray) -> tuple[Variant, Mapping[str, float]]:
        """Return the network of a genome, and what is counted of it."""

    @property
    def noisy(self) -> Sequence[str]:
        """The scores that are means over images."""
        return tuple(self._averages.links)

    @property
    def links(self) -> Mapping[str, Link]:
        """How those of them that are no means themselves follow from one."""
        return {name: link for name, link in self._averages.links.items() if link != "mean"}

    @property
    def grades(self) -> Sequence[int]:
        """After how many blocks of images it is asked who goes on."""
        return grades_of(MOST)

    def block_sizes(self, split: Split) -> Sequence[float]:
        """Return how many images each block of a part has."""
        return [float(size) for size in self._averages.blocks[split].sizes]

    def evaluate_blocks(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
        blocks: range,
    ) -> Sequence[Row]:
        """Return objectives and bounded values of each genome on some blocks, shape (blocks, columns) each."""
        rows: list[Row] = []
        for genome in genomes:  # one network after the other, so that only one exists at a time
            variant, counted = self._candidate(genome)
            rows += self._measuring.block_rows([variant], [counted], split, blocks)
        return rows
