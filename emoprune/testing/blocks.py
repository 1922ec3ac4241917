"""What a problem promises that is measured block by block, as checks; other problems pass them as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Blocks, Failure, FloatArray, Graded, Problem, SeedArray, Split, blocks_of
from emoprune.contracts.links import through
from emoprune.errors import ContractError
from emoprune.space import IntArray
from emoprune.testing.promises import require
from emoprune.testing.rows import Measured, column_names, measured

__all__ = ["check_blocks"]

CLOSE = 1e-5  # relative; 32-bit outputs differ in their last digits where batches are of another size


def check_blocks(problem: Problem, another: Problem, genomes: IntArray, seeds: SeedArray) -> None:
    """Check that blocks are nested, measured alike in whatever pieces, that costs are exact, and what means come to.

    Args:
        problem: Set up.
        another: The same, made and set up anew: it measures the last piece first.
        genomes: Shape (n, genes), all legal.
        seeds: Shape (n,).

    Raises:
        ContractError: A promise is broken.
    """
    blocks, names = blocks_of(problem), column_names(problem)
    if blocks is None or not isinstance(problem, Graded) or not isinstance(another, Graded):
        return
    unknown = sorted(set(blocks.noisy) - set(names))
    require(not unknown, f"noisy: expected names of {', '.join(names)}", unknown)
    batch = _Batch(problem, genomes, seeds, len(names))
    for split in Split:
        whole = batch.rows(split, blocks.all_of(split))
        for name, column in zip(names, np.moveaxis(whole, 2, 0), strict=True):
            same = bool((column == column[:, :1]).all())
            require(same or name in blocks.noisy, f"{name}: expected the same on every block of {split}", column[0])
        _check_means(measured(problem, genomes, seeds, split), whole, names, blocks, split)
    backwards = _Batch(another, genomes[::-1], seeds[::-1], len(names))
    pieces = [backwards.rows(Split.SEARCH, piece)[::-1] for piece in blocks.pieces[::-1]][::-1]
    alike = np.array_equal(np.concatenate(pieces, axis=1), batch.rows(Split.SEARCH, blocks.all_of(Split.SEARCH)))
    require(alike, "evaluate_blocks: expected the same of each block in whatever pieces, batches and order", "others")


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    problem: Graded
    genomes: IntArray
    seeds: SeedArray
    width: int

    def rows(self, split: Split, blocks: range) -> FloatArray:
        """Return what is measured, shape (n, blocks, width); zeros for genomes that fail."""
        where = f"evaluate_blocks on {split}"
        try:
            rows = self.problem.evaluate_blocks(self.genomes.copy(), self.seeds.copy(), split, blocks)
        except Exception as error:
            raise ContractError(f"{where}: expected a Failure where a genome fails; found {error!r}") from error
        require(len(rows) == len(self.genomes), f"{where}: expected {len(self.genomes)} rows", len(rows))
        shape = (len(blocks), self.width)
        made = [np.zeros(shape) if isinstance(row, Failure) else np.asarray(row, dtype=np.float64) for row in rows]
        wrong = next((row.shape for row in made if row.shape != shape), None)
        require(wrong is None, f"{where}: expected rows of shape {shape}, objectives and then constraints", wrong)
        return np.array(made)


def _check_means(rows: list[Measured], whole: FloatArray, names: Sequence[str], blocks: Blocks, split: Split) -> None:
    means = np.average(whole, axis=1, weights=blocks.sizes[split])
    scores = np.column_stack(
        [through(blocks.links.get(name, "mean"), column) for name, column in zip(names, means.T, strict=True)]
    )
    for row, mean in zip(rows, scores, strict=True):
        alike = isinstance(row, Failure) or np.allclose(row, mean, rtol=CLOSE, atol=CLOSE)
        require(alike, f"evaluate on {split}: expected the mean over its blocks, {mean.tolist()}", row)
