"""How many weights of each layer a user would keep without a search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import FloatArray, Reference
from emoprune.problems.networks.channels.references.ratios import (
    balanced_densities,
    erk_densities,
    kept_share_of_pq,
    pyramidal_densities,
)
from emoprune.problems.networks.evaluation.sparsity_index import pq_index
from emoprune.problems.networks.layers.treatments.curves import each_once, most_within, uniform_references
from emoprune.problems.networks.layers.treatments.levels import LayerLevels

__all__ = ["FLOOR", "PERCENTAGES", "global_magnitude_counts", "pq_counts", "share_references"]

PERCENTAGES = (50, 25, 10, 5)  # of the weights of all layers that can be pruned
FLOOR = 0.0005  # of all weights: what each layer keeps at least under one threshold
PROGRESS = 0.01  # rounds that take less than this of every layer end nowhere

Sizes = list[NDArray[np.floating[Any]]]


def share_references(levels: LayerLevels, weights: Mapping[str, NDArray[np.floating[Any]]]) -> tuple[Reference, ...]:
    """Return the unpruned genome, every level for all layers alike, and each method's genomes at some percentages.

    A layer takes the lowest level that keeps at least as many weights as the method says, so that slightly more than
    the percentage in the name may stay. Every genome is there once.

    Args:
        levels: The layers and their levels.
        weights: The unpruned network's state_dict.
    """
    falling = [np.sort(np.abs(weights[f"{part.path}.weight"]), axis=None)[::-1] for part in levels.parts]
    made = [Reference("unpruned", levels.space.full), *uniform_references(levels)]
    for name, counts in _counts(levels, falling):
        made.append(Reference(name, levels.keeping(counts)))
    return each_once(made, levels.space)


def _counts(levels: LayerLevels, falling: Sizes) -> Iterator[tuple[str, FloatArray]]:
    sizes = levels.sizes.astype(np.float64)
    dimensions = [sum(shape) for _, shape in levels.layers]
    for percentage in PERCENTAGES:
        density = percentage / 100
        yield f"global-magnitude-{percentage}", global_magnitude_counts(falling, density)
        yield f"erk-{percentage}", sizes * erk_densities(sizes, dimensions, density)
        yield f"balanced-{percentage}", sizes * balanced_densities(sizes, density)
        yield f"pyramidal-{percentage}", sizes * pyramidal_densities(sizes, density)
        yield f"pq-0_5-1-{percentage}", pq_counts(falling, density, 0.5, 1.0)
        yield f"pq-1-2-{percentage}", pq_counts(falling, density, 1.0, 2.0)


def global_magnitude_counts(falling: Sizes, density: float, floor: float = FLOOR) -> FloatArray:
    """Return how many weights of each layer one threshold on magnitudes keeps, at most `density` of all; (layers,).

    No layer keeps less than the share `floor` of the weights of all layers; smaller layers stay whole, and the
    threshold rises until the others make up for it. Source: Gupta et al., Is Complexity Required for Neural Network
    Pruning? A Case Study on Global Magnitude Pruning, arXiv 2209.14624; the floor is the published one.

    Args:
        falling: Each layer's magnitudes, the largest first.
        density: The share of all weights that stays.
        floor: May keep more than that share where it asks for it.
    """
    sizes = np.array([len(own) for own in falling])
    least = np.minimum(sizes, max(1, int(np.ceil(floor * sizes.sum() - 1e-9))))
    every, rising = np.sort(np.concatenate(falling))[::-1], [-own for own in falling]

    def counts_at(position: float) -> FloatArray:
        best = int(position * len(every))
        if best == 0:
            return np.asarray(least, dtype=np.float64)
        above = [np.searchsorted(own, -every[best - 1], side="right") for own in rising]
        return np.asarray(np.maximum(above, least), dtype=np.float64)

    return most_within(counts_at, density * sizes.sum())


def pq_counts(falling: Sizes, density: float, p: float, q: float) -> FloatArray:
    """Return how many weights of each layer rounds of PQ ratios keep, at most `density` of all; shape (layers,).

    Sparsity-informed Adaptive Pruning, of layers: the PQ index of the weights that remain says what share of them
    stays, at least a tenth in each round. The last round goes as far as the target, from the counts before it towards
    those after it in equal ratios; if the weights that remain are alike in all layers, it goes towards one weight each.
    No weight is trained between rounds, unlike in the paper. Source: Diao et al., Pruning Deep Neural Networks from a
    Sparsity Perspective, arXiv 2302.05601.

    Args:
        falling: Each layer's magnitudes, the largest first.
        density: The share of all weights that stays.
        p: The index's first norm.
        q: The index's second norm.
    """
    sizes = np.array([len(own) for own in falling], dtype=np.float64)
    target, before, after = density * sizes.sum(), sizes, sizes
    while after.sum() > target:
        staying = _staying(falling, after, p, q)
        if (staying > 1 - PROGRESS).all():
            before, after = after, np.ones_like(after)
            break
        before, after = after, np.maximum(1.0, after * staying)
    return most_within(lambda position: after ** (1 - position) * before**position, target)


def _staying(falling: Sizes, counts: FloatArray, p: float, q: float) -> FloatArray:
    remaining = [own[: max(1, round(count))] for own, count in zip(falling, counts.tolist(), strict=True)]
    return np.array([kept_share_of_pq(pq_index(own, p, q), len(own), p, q) for own in remaining])
