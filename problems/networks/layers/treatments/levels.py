"""Which levels of a treatment each layer can take, and what is left of the network at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from emoprune.contracts import FloatArray
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.space import IntArray, Space

__all__ = ["LayerLevels", "going_down"]

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LayerLevels:
    """The layers that a treatment can change, and for each of them the levels at which different weights stay.

    Of a layer's levels that leave the same, only the highest counts: in a layer of four weights 1 % and 25 % are one
    and the same. A layer of which all levels leave the same is in `untouched` instead.

    Attributes:
        table: The treatment's levels that a layer can take, rising, by layer.
        nonzeros: Weights that stay, shape (layers, levels of the treatment).
        stored: The bytes that those take, in the same shape.
        sizes: All weights, shape (layers,).
    """

    layers: tuple[tuple[Part, Shape], ...]
    treatment: Treatment
    untouched: tuple[str, ...] = ()
    table: tuple[IntArray, ...] = field(init=False, repr=False)
    nonzeros: IntArray = field(init=False, repr=False)
    stored: IntArray = field(init=False, repr=False)
    sizes: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        left = np.array([_left(part, shape, self.treatment) for part, shape in self.layers], dtype=np.int64)
        left = left.reshape(-1, len(self.treatment.labels), 2)
        object.__setattr__(self, "nonzeros", left[..., 0])
        object.__setattr__(self, "stored", left[..., 1])
        object.__setattr__(self, "sizes", left[:, -1, 0])
        object.__setattr__(self, "table", tuple(_different(own) for own in left))

    @classmethod
    def of(cls, layers: Sequence[tuple[Part, Shape]], treatment: Treatment) -> LayerLevels:
        """Return the levels of those layers, given with the shapes of their weights, that can be changed at all."""
        every = cls(tuple(layers), treatment)
        changing = [len(levels) > 1 for levels in every.table]
        kept = tuple(layer for layer, changes in zip(layers, changing, strict=True) if changes)
        return cls(kept, treatment, tuple(part.path for part, _ in layers if part not in [own for own, _ in kept]))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The layers that have a gene, in genome order."""
        return tuple(part for part, _ in self.layers)

    @property
    def space(self) -> Space:
        """One ordered gene per layer."""
        return Space.ordered((part.path, len(own)) for part, own in zip(self.parts, self.table, strict=True))

    @property
    def highest(self) -> int:
        """The level that leaves a layer as it is."""
        return len(self.treatment.labels) - 1

    def decode(self, genomes: IntArray) -> IntArray:
        """Return the treatment's levels that genomes of shape (n, layers) mean, in the same shape."""
        return np.stack([own[genomes[:, layer]] for layer, own in enumerate(self.table)], axis=1)

    def encode(self, levels: ArrayLike) -> IntArray:
        """Return the genome, shape (layers,), of the lowest levels that are not below `levels` in any layer."""
        wanted = np.broadcast_to(np.asarray(levels), (len(self.layers),))
        found = [np.searchsorted(own, level) for own, level in zip(self.table, wanted, strict=True)]
        return np.array(found, dtype=np.int64)

    def keeping(self, counts: FloatArray) -> IntArray:
        """Return the genome that keeps the fewest weights, but at least `counts`, shape (layers,), of each layer."""
        # A count that is whole but for its last bits must not take one weight more.
        enough = self.nonzeros >= np.minimum(np.ceil(counts - 1e-6), self.sizes)[:, np.newaxis]
        return self.encode(enough.argmax(axis=1))

    def counted(self, genomes: IntArray, unpruned: Mapping[str, float]) -> list[dict[str, float]]:
        """Return the counted measures of each genome: macs not with zero, parameters not zero, and bytes as packed.

        Others are as those of the unpruned network, such as what a cache takes.

        Args:
            genomes: Shape (n, layers).
            unpruned: The unpruned network's macs, parameters and bytes.
        """
        layer, levels = np.arange(len(self.layers)), self.decode(genomes)
        gone = self.sizes - self.nonzeros[layer, levels]
        saved = self.stored[:, -1] - self.stored[layer, levels]
        positions = np.array([part.positions for part in self.parts], dtype=np.int64)
        columns = {"macs": (gone * positions).sum(axis=1), "parameters": gone.sum(axis=1), "bytes": saved.sum(axis=1)}
        return [
            {**unpruned, **{name: unpruned[name] - float(own[row]) for name, own in columns.items()}}
            for row in range(len(levels))
        ]


def going_down(levels: LayerLevels, steps: Sequence[int]) -> IntArray:
    """Return the genomes from unpruned on, each with one layer a level lower: shape (steps + 1, layers).

    Args:
        levels: The layers and their levels.
        steps: Which layer goes down in each step.
    """
    down = np.zeros((len(steps) + 1, len(levels.layers)), dtype=np.int64)
    down[np.arange(1, len(steps) + 1), steps] = 1
    return levels.space.full - np.cumsum(down, axis=0)


def _left(part: Part, shape: Shape, treatment: Treatment) -> list[list[int]]:
    left = [treatment.left(part, shape, level) for level in range(len(treatment.labels))]
    return [[each.nonzeros, each.stored_bytes] for each in left]


def _different(left: IntArray) -> IntArray:
    """Return the levels, rising, after which something else is left; `left` is of shape (levels, 2)."""
    return np.flatnonzero(np.append((left[1:] != left[:-1]).any(axis=1), True))
