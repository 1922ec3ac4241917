"""A transformer's heads and neurons as data: which linear layers hold them, layer by layer."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from emoprune.errors import ContractError
from emoprune.space import IntArray

__all__ = ["Anatomy", "Attention", "Block", "BlockPlan", "FeedForward", "UnitGroup"]


@dataclass(frozen=True, slots=True)
class Attention:
    """One attention, all paths within its layer.

    `path` is the module with the three projections; `key_value_heads` are fewer than `heads` where several queries
    share one; `width` is a head's.
    """

    path: str
    query: str
    key: str
    value: str
    output: str
    heads: int
    key_value_heads: int
    width: int

    @property
    def group(self) -> int:
        """How many query heads share one key and value head."""
        return self.heads // self.key_value_heads

    @property
    def kind(self) -> str:
        """The attention's name in the field."""
        if self.group == 1:
            return "multi-head"
        return "multi-query" if self.key_value_heads == 1 else "grouped-query"

    def owners(self, heads: IntArray) -> tuple[IntArray, IntArray]:
        """Return the key and value heads that kept query heads need, and which of those each query head takes."""
        needed, place = np.unique(heads // self.group, return_inverse=True)
        return needed, place.reshape(-1)

    def whole_groups(self, heads: IntArray) -> bool:
        """Whether of each key and value head all query heads are among these, or none."""
        _, counts = np.unique(heads // self.group, return_counts=True)
        return bool((counts == self.group).all())


@dataclass(frozen=True, slots=True)
class FeedForward:
    """One feed-forward network, or one expert of a mixture: neurons are put out by `inputs`, taken in by `output`.

    `share` is the part of all tokens that reach it: 1, or for an expert the number chosen over the number there are.
    """

    inputs: tuple[str, ...]
    output: str
    neurons: int
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Block:
    """One layer: an attention, and feed-forward networks (several in a mixture of experts)."""

    attention: Attention
    feed_forwards: tuple[FeedForward, ...]

    @property
    def neurons(self) -> int:
        """The neurons of all its feed-forward networks."""
        return sum(own.neurons for own in self.feed_forwards)

    def split(self, neurons: IntArray) -> list[IntArray]:
        """Return the kept neurons of each feed-forward network, counted from 0 in each, from those of the layer."""
        starts = np.cumsum([0, *(own.neurons for own in self.feed_forwards)])
        ends = np.searchsorted(neurons, starts)
        return [neurons[low:high] - start for low, high, start in zip(ends[:-1], ends[1:], starts[:-1], strict=True)]


@dataclass(frozen=True, slots=True)
class UnitGroup:
    """Units that are ranked among each other: the heads of a layer, or its neurons."""

    name: str
    units: int


@dataclass(frozen=True, slots=True)
class Anatomy:
    """All layers of a model, the path of their list, and the width of what flows between them."""

    path: str
    blocks: tuple[Block, ...]
    hidden: int
    groups: tuple[UnitGroup, ...] = field(init=False)

    def __post_init__(self) -> None:
        groups = []
        for number, block in enumerate(self.blocks):
            groups.append(UnitGroup(f"{number}.heads", block.attention.heads))
            groups.append(UnitGroup(f"{number}.neurons", block.neurons))
        object.__setattr__(self, "groups", tuple(groups))

    @property
    def units(self) -> tuple[int, ...]:
        """How many units each group has: heads and neurons of each layer in turn."""
        return tuple(group.units for group in self.groups)

    def whole(self, number: int) -> BlockPlan:
        """Return the plan that leaves a layer as it is."""
        block = self.blocks[number]
        return BlockPlan(("whole",), True, np.arange(block.attention.heads), np.arange(block.neurons))


@dataclass(frozen=True, slots=True, eq=False)
class BlockPlan:
    """What stays of one layer: rising indices of heads and neurons, or nothing at all; and the bits of its weights.

    `key` is equal for equal plans of the same layer, and for no others: what is counted or narrowed is kept by it.
    """

    key: Hashable
    kept: bool
    heads: IntArray
    neurons: IntArray
    bits: int = 32

    @classmethod
    def keeping(cls, heads: IntArray, neurons: IntArray) -> BlockPlan:
        """Return the plan by which these stay, whoever chose them."""
        return cls(("keeping", heads.tobytes(), neurons.tobytes()), True, heads, neurons)

    def __post_init__(self) -> None:
        for name, units in (("heads", self.heads), ("neurons", self.neurons)):
            if units.ndim != 1 or (np.diff(units) <= 0).any():
                raise ContractError(f"{name}: expected rising indices of those that stay, found {units}")
