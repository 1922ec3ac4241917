"""A landscape with everything that emoprune asks of a problem, so that whole searches can run on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Description, Objective, Reference
from emoprune.records import Split
from emoprune.space import IntArray, Space
from shared.landscapes import FloatArray, Landscape

__all__ = ["Pruning"]


class Pruning:
    """A problem over a landscape; `weight` more bytes travel with it and lie in every process that holds it."""

    def __init__(self, landscape: Landscape, weight: int = 0) -> None:
        self._landscape = landscape
        self._ballast = np.random.default_rng(3).bytes(weight)
        self.space = Space.bits(landscape.genes)
        self.objectives = tuple(Objective(f"f{i}", worst=float(worst)) for i, worst in enumerate(landscape.worst))

    def setup(self, device: str, threads: int) -> None:
        """Nothing to load."""

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> FloatArray:  # noqa: ARG002  # the engine passes all three
        """Return the landscape's objectives, the same on every split."""
        return self._landscape.scores(genomes)

    def references(self) -> Sequence[Reference]:
        """Return the unpruned genome."""
        return (Reference("unpruned", self.space.full),)

    def describe(self, genome: IntArray) -> Description:
        """Say how many bits are kept."""
        return {"kept": int(genome.sum())}

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the kept bits as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        kept = np.flatnonzero(genome).tolist()
        (folder / "kept.json").write_text(json.dumps(kept), encoding="utf-8")
        return {"kept": len(kept)}
