"""What a front is worth in time: the latency of its networks beside the multiply-accumulates that were minimised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.front import non_dominated
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.latency import median_milliseconds
from emoprune.records import Split
from emoprune.space import IntArray
from shared.network_bench import WidthSearch, levels_of, scores_of
from shared.recording import Table

__all__ = ["MULTIPLES", "front_table", "mean_share"]

POINTS = 6
MULTIPLES = (1, 8)


def mean_share(bench: Bench, widths: IntArray) -> float:
    """Return the mean share of the unpruned network's multiply-accumulates at widths of shape (n, groups)."""
    return float(np.mean(CostModel.of(bench.network, bench.structure).macs(widths)) / _full(bench))


def _full(bench: Bench) -> float:
    full = np.array([bench.structure.units], dtype=np.int64)
    return float(CostModel.of(bench.network, bench.structure).macs(full)[0])


def front_table(bench: Bench, problems: Mapping[int, WidthSearch]) -> Table:
    """Return the latency along the front of each search, by the multiple to which its widths were rounded."""
    cost, full = CostModel.of(bench.network, bench.structure), _full(bench)
    rows: list[Sequence[str]] = []
    for multiple, problem in problems.items():
        chosen, errors = _spread(bench, problem, multiple)
        slicer = Slicer(bench, scores_of(bench))
        networks = [bench.network, *(slicer.variant(own).network for own in chosen)]
        milliseconds = median_milliseconds(networks, bench.images[Split.SEARCH].batches[0])
        for own, error, time in zip(chosen, errors, milliseconds[1:], strict=True):
            share = cost.macs(own[np.newaxis])[0] / full
            faster = milliseconds[0] / time
            rows.append(
                (
                    "any" if multiple == 1 else f"multiples of {multiple}",
                    f"{error:.4f}",
                    f"{share:.3f}",
                    f"{1 / share:.2f}",
                    f"{time:.2f}",
                    f"{faster:.2f}",
                    " ".join(map(str, own.tolist())),
                )
            )
    columns = ("widths", "error", "share of MACs", "times fewer MACs", "ms per batch", "times faster", "channels")
    return Table("Along the front of one search each: multiply-accumulates and measured latency.", columns, rows)


def _spread(bench: Bench, problem: WidthSearch, multiple: int) -> tuple[list[IntArray], NDArray[np.float64]]:
    """Return some networks of the front, from the cheapest to the dearest, and their errors on the search part."""
    genomes = np.unique(np.concatenate([_genomes(bench, multiple, each) for each in problem.asked]), axis=0)
    levels = levels_of(bench, multiple)
    values = problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), Split.SELECT)
    front = np.flatnonzero(non_dominated(values))
    front = front[np.argsort(values[front, 1], kind="stable")]
    places = np.unique(np.linspace(0, len(front) - 1, min(POINTS, len(front))).astype(int))
    chosen = front[places]
    return list(levels.decode(genomes[chosen])), values[chosen, 0]


def _genomes(bench: Bench, multiple: int, widths: IntArray) -> IntArray:
    """Return the genomes that mean these widths."""
    levels = levels_of(bench, multiple)
    return np.stack([levels.encode(own) for own in widths])
