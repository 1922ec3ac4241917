"""From densities of layers to shares of coupling groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.errors import ContractError
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.ratios import proportional
from emoprune.problems.networks.channels.references.target import Curve
from emoprune.problems.networks.coupling.structure import Part, Structure
from emoprune.space import IntArray

__all__ = ["Layers", "proportional_curve"]


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The convolutions and linear layers of a network in the order in which they run, as published formulas see them.

    `paths` are their names, `sizes` their numbers of weights and `dimensions` the sums of their weights' dimensions,
    both (layers,). `producing`, shape (layers, groups), counts each layer's weights that put out a group's channels.
    """

    paths: tuple[str, ...]
    sizes: FloatArray
    dimensions: FloatArray
    producing: FloatArray

    @classmethod
    def of(cls, inputs: ReferenceInputs) -> Layers:
        """Return the layers of a network.

        Raises:
            ContractError: The channels of a coupling group are put out by none of them.
        """
        structure = inputs.structure
        shapes = inputs.cost_model.weight_shapes()
        sizes = np.array([np.prod(shape) for _, shape in shapes], dtype=np.float64)
        shares = np.stack([_shares_of_groups(part, structure) for part, _ in shapes])
        producing = sizes[:, np.newaxis] * shares
        orphans = [
            group.name for group, weights in zip(structure.groups, producing.sum(axis=0), strict=True) if not weights
        ]
        if orphans:
            raise ContractError(f"references: no convolution or linear layer puts out the channels of {orphans}")
        dimensions = np.array([sum(shape) for _, shape in shapes], dtype=np.float64)
        return cls(tuple(part.path for part, _ in shapes), sizes, dimensions, producing)

    def shares_of_groups(self, densities: FloatArray) -> FloatArray:
        """Return the share of each group's units that layers of these densities, (n, layers), mean: (n, groups).

        A layer's density is read as the share of its outgoing channels; a group that several layers put out gets their
        mean, weighted by how many weights each of them spends on it.
        """
        return np.asarray(densities @ (self.producing / self.producing.sum(axis=0)))


def proportional_curve(inputs: ReferenceInputs, layers: Layers, preferences: FloatArray) -> Curve:
    """Return the curve of densities proportional to `preferences`, shape (layers,), and at most 1.

    At position 1 the layer that is least preferred is dense as well.
    """
    largest = 1 / preferences.min()

    def curve(positions: FloatArray) -> IntArray:
        densities = proportional(preferences, positions * largest)
        return inputs.genomes_of_shares(layers.shares_of_groups(densities))

    return curve


def _shares_of_groups(part: Part, structure: Structure) -> FloatArray:
    """Return which share of the part's outgoing channels belongs to each group, shape (groups,)."""
    if part.outgoing is None:
        return np.zeros(len(structure.groups))
    own = part.outgoing.groups[part.outgoing.groups >= 0]
    return np.bincount(own, minlength=len(structure.groups)) / len(part.outgoing)
