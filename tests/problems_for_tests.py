"""A problem small enough to enumerate, for tests that need a real one; importable, so that other processes find it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Description, Objective, Reference
from emoprune.errors import ConfigError, ContractError
from emoprune.records import Split
from emoprune.space import Gene, IntArray, Space

__all__ = ["Knapsack12"]


class Knapsack12:
    """Leave items out of a knapsack: lose as little of its worth as possible, carry as little weight as possible.

    Neighbouring items are worth more together. Weights are whole numbers, and so are the worths, which differ between
    the splits: all sums are exact, in every batch and order.

    Args:
        bits: How many items, at least 2.
        pause: Seconds that measuring one genome takes on top.
        noise: Standard deviation of what each genome's own seed adds to its loss.
    """

    def __init__(self, bits: int = 12, pause: float = 0.0, noise: float = 0.0) -> None:
        if bits < 2 or pause < 0 or noise < 0:
            raise ConfigError(
                f"expected bits of at least 2, pause and noise of at least 0, found {bits}, {pause}, {noise}"
            )
        self._pause = pause
        self._noise = noise
        self._weights = np.random.default_rng(7).integers(1, 30, bits)
        self._worths: dict[Split, IntArray] | None = None
        genes = tuple(Gene(f"item{i}") for i in range(bits))
        self.space = Space(genes, costs=self._weights.astype(np.float64))
        self.objectives = (
            Objective("loss", worst=1.0),
            Objective("weight", unit="g", worst=float(self._weights.sum())),
        )

    def setup(self, device: str, threads: int) -> None:
        """Make the worths of all items, alone and beside their right neighbour, for each split."""
        self._worths = {split: self._worth(number) for number, split in enumerate(Split)}

    def _worth(self, number: int) -> IntArray:
        return np.random.default_rng([11, number]).integers(1, 100, (2, len(self.space)))

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Return the share of the worth that is lost and the weight that is kept, shape (n, 2)."""
        if self._worths is None:
            raise ContractError("expected a knapsack that is set up, found one that is not; call setup() first")
        if self._pause:
            time.sleep(self._pause * len(genomes))
        loss = _loss(genomes, self._worths[split])
        if self._noise:
            loss += self._noise * np.array([np.random.default_rng(int(seed)).normal() for seed in seeds])
        return np.column_stack([loss, genomes @ self._weights])

    def references(self) -> Sequence[Reference]:
        """Return everything, every other item, and the lighter half."""
        every_other = np.arange(len(self.space)) % 2
        lightest = np.zeros(len(self.space), dtype=np.int64)
        lightest[np.argsort(self._weights, kind="stable")[: len(self.space) // 2]] = 1
        return (
            Reference("unpruned", self.space.full),
            Reference("uniform", every_other),
            Reference("lightest", lightest),
        )

    def describe(self, genome: IntArray) -> Description:
        """Name the items that are kept."""
        kept = [name for name, on in zip(self.space.names, genome, strict=True) if on]
        return {"items": len(kept), "kept": " ".join(kept), "weight": int(genome @ self._weights)}

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the kept items and their weights as JSON, read them back, and compare the weight."""
        kept = {
            name: int(weight) for name, weight in zip(self.space.names, self._weights * genome, strict=True) if weight
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "knapsack.json"
        path.write_text(json.dumps({"items": kept}), encoding="utf-8")
        reloaded = sum(json.loads(path.read_text(encoding="utf-8"))["items"].values())
        if reloaded != int(genome @ self._weights):
            raise ContractError(
                f"export: expected a weight of {genome @ self._weights}, found {reloaded} in {path.name}"
            )
        return {"file": path.name, "weight": reloaded}


def _loss(genomes: IntArray, worths: IntArray) -> NDArray[np.float64]:
    """Return the share of the worth, shape (2, genes) for items alone and in pairs, that each genome leaves out."""
    alone, paired = worths
    pairs = genomes[:, :-1] * genomes[:, 1:]
    kept = genomes @ alone + pairs @ paired[:-1]
    return np.asarray(1.0 - kept / (alone.sum() + paired[:-1].sum()))
