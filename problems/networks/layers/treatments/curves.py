"""From a method that can keep more or less to the genome at a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emoprune.contracts import FloatArray, Reference
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.space import Space

__all__ = ["each_once", "most_within", "uniform_references"]

HALVINGS = 60  # as fine as a float


def most_within(counts_at: Callable[[float], FloatArray], target: float) -> FloatArray:
    """Return the weights to keep of each layer at the highest position from 0 to 1 that keeps at most `target` of all.

    `counts_at` takes a position and returns counts, shape (layers,), that never fall when the position rises; if even
    those at position 0 are more, they are returned.
    """
    low, high = 0.0, 1.0
    if counts_at(high).sum() <= target:
        return counts_at(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if counts_at(middle).sum() <= target else (low, middle)
    return counts_at(low)


def uniform_references(levels: LayerLevels) -> list[Reference]:
    """Return one genome per level of the treatment but the highest, the same for all layers, the weakest first."""
    found = []
    for level in reversed(range(levels.highest)):
        label = levels.treatment.labels[level]
        name = label.replace(" %", "").replace(" ", "-").replace(":", "-of-").replace(".", "_")
        found.append(Reference(f"uniform-{name}", levels.encode(level)))
    return found


def each_once(references: Iterable[Reference], space: Space) -> tuple[Reference, ...]:
    """Return the references with every genome once, under the first name it got."""
    first: dict[bytes, Reference] = {}
    for reference in references:
        first.setdefault(space.key(reference.genome), reference)
    return tuple(first.values())
