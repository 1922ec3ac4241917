"""What a network of given widths costs, counted exactly: multiply-accumulates for one image, parameters, bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.coupling.pruned_module import tensors_of
from emoprune.problems.networks.coupling.structure import Part, Structure
from emoprune.space import IntArray

__all__ = ["CostModel", "PartSizes"]

Side = tuple[str, str]  # a part's path, and `in`, `out` or `along`


@dataclass(frozen=True, slots=True, eq=False)
class PartSizes:
    """How many channels each weighted part takes in and puts out at some widths; both (n, weighted parts)."""

    incoming: IntArray
    outgoing: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class CostModel:
    """Counts for any widths of a network's coupling groups, without building anything.

    `tensors` holds for each tensor with channels its part and its shape; `others` counts (parameters, bytes) of all the
    rest, such as the counters of batch norms.
    """

    structure: Structure
    tensors: tuple[tuple[Part, tuple[int, ...], bool, int], ...]  # part, shape, whether trained, bytes per element
    others: tuple[int, int]
    _linear: Mapping[Side, tuple[int, IntArray]]  # channels that never go, and how many each unit of each group is

    @classmethod
    def of(cls, network: nn.Module, structure: Structure) -> CostModel:
        """Read the shapes of a network's tensors."""
        trained = {name for name, _ in network.named_parameters()}
        seen, found = set(), []
        for part in structure.parts:
            for name, tensor in tensors_of(network, part).items():
                seen.add(name)
                found.append((part, tuple(tensor.shape), name in trained, tensor.element_size()))
        rest: list[tuple[str, torch.Tensor]] = [
            (name, tensor) for name, tensor in network.state_dict().items() if name not in seen
        ]
        parameters = sum(tensor.numel() for name, tensor in rest if name in trained)
        stored = sum(each.numel() * each.element_size() for _, each in rest)
        return cls(structure, tuple(found), (parameters, stored), _linear_counts(structure))

    def weight_shapes(self) -> list[tuple[Part, tuple[int, ...]]]:
        """Return the shape of each weighted part's full weight."""
        return [(part, shape) for part, shape, _, _ in self.tensors if part.weighted and len(shape) > 1]

    def sizes(self, widths: IntArray) -> PartSizes:
        """Return the channels of each weighted part at `widths`, shape (n, groups)."""
        parts = self.structure.weighted
        return PartSizes(
            np.stack([self._channels(part, "in", widths) for part in parts], axis=1),
            np.stack([self._channels(part, "out", widths) for part in parts], axis=1),
        )

    def macs(self, widths: IntArray) -> IntArray:
        """Return multiply-accumulates of convolutions and linear layers for one image, biases not counted, (n,)."""
        return np.asarray(self.macs_by_part(widths).sum(axis=1))

    def macs_by_part(self, widths: IntArray) -> IntArray:
        """Return the multiply-accumulates of each weighted part, shape (n, weighted parts)."""
        sizes = self.sizes(widths)
        columns = []
        for number, part in enumerate(self.structure.weighted):
            incoming, outgoing = sizes.incoming[:, number], sizes.outgoing[:, number]
            fan_in = 1 if part.depthwise else incoming // part.conv_groups
            columns.append(self._positions(part, widths) * part.kernel * fan_in * outgoing)
        return np.stack(columns, axis=1)

    def parameters(self, widths: IntArray) -> IntArray:
        """Return how many trained numbers there are, shape (n,)."""
        counted = [
            count for count, (_, _, trained, _) in zip(self._counts(widths), self.tensors, strict=True) if trained
        ]
        return np.asarray(np.sum(counted, axis=0) + self.others[0], dtype=np.int64)

    def bytes(self, widths: IntArray) -> IntArray:
        """Return the bytes of all parameters and buffers as they are stored, shape (n,)."""
        counted = [count * size for count, (_, _, _, size) in zip(self._counts(widths), self.tensors, strict=True)]
        return np.asarray(np.sum(counted, axis=0) + self.others[1], dtype=np.int64)

    def counted(self, widths: IntArray) -> dict[str, float]:
        """Return macs, parameters and bytes of one network, its widths of shape (1, groups)."""
        return {
            "macs": float(self.macs(widths)[0]),
            "parameters": float(self.parameters(widths)[0]),
            "bytes": float(self.bytes(widths)[0]),
        }

    def _counts(self, widths: IntArray) -> list[IntArray]:
        return [self._elements(part, shape, widths) for part, shape, _, _ in self.tensors]

    def _elements(self, part: Part, shape: tuple[int, ...], widths: IntArray) -> IntArray:
        outgoing = self._channels(part, "out", widths) if part.outgoing is not None else None
        if part.weighted and len(shape) > 1 and outgoing is not None:
            incoming = self._channels(part, "in", widths)
            fan_in = 1 if part.depthwise else incoming // part.conv_groups
            return np.asarray(part.kernel * fan_in * outgoing)
        whole = int(np.prod(shape))
        if outgoing is None or part.outgoing is None:
            return np.full(len(widths), whole, dtype=np.int64)
        return np.asarray(outgoing * (whole // len(part.outgoing)))

    def _positions(self, part: Part, widths: IntArray) -> IntArray:
        """Return at how many places each network applies a layer."""
        if part.along is None:
            return np.full(len(widths), part.positions, dtype=np.int64)
        return self._channels(part, "along", widths)

    def _channels(self, part: Part, side: str, widths: IntArray) -> IntArray:
        fixed, per_unit = self._linear[part.path, side]
        return np.asarray(fixed + widths @ per_unit)


def _linear_counts(structure: Structure) -> dict[Side, tuple[int, IntArray]]:
    """Return for each side of each part how its channels follow from the widths; a side without wiring counts as 1."""
    counts: dict[Side, tuple[int, IntArray]] = {}
    groups = len(structure.groups)
    for part in structure.parts:
        for side, wiring in (("in", part.incoming), ("out", part.outgoing), ("along", part.along)):
            known = (
                (1, np.zeros(groups, dtype=np.int64)) if wiring is None else (wiring.fixed, wiring.multiplicity(groups))
            )
            counts[part.path, side] = known
    return counts
