"""A transformer's heads and neurons as data: which linear layers hold them, layer by layer."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emoprune.errors import ConfigError, ContractError
from emoprune.space import IntArray

__all__ = ["Anatomy", "Attention", "Block", "BlockPlan", "FeedForward", "HeadTraits", "UnitGroup"]

Pairs = tuple[tuple[str, str], ...]
Axes = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class HeadTraits:
    """What else goes with the heads of an attention, beside its projections and what is always called the same.

    Attributes:
        alike: Linear layers or biases, by their paths in the layer, that put out what `query`, `key` or `value` does.
        per_head: Parameters with one entry for each head, by their paths in the layer, and the axis of these.
        counts: Attributes of the attention that count its `heads`, `key_value_heads`, or the `channels` and
            `key_channels` of all of them; one of a config of its own is written `config.name`.
        arguments: What the attention is called with that has an axis of heads: the name, and the axis; heads and
            examples may lie on one axis, the examples outermost.
        joint_norms: Norms over all heads together, by their paths in the layer, of `query` or `key`: the projection
            before one stays whole, and heads are chosen behind it.
        adds: The argument that the attention adds to what it puts out.
        norm: A norm within the attention, by its name there, of the sum of what goes in and what would come out.
        answers: How many things it returns.
        table: A table of position biases that the first layer of a stack has and all use, within the attention.
    """

    alike: Pairs = ()
    per_head: Axes = ()
    counts: Pairs = ()
    arguments: Axes = ()
    joint_norms: Pairs = ()
    adds: str | None = None
    norm: str | None = None
    answers: int = 2
    table: str | None = None


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
    traits: HeadTraits = HeadTraits()

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
    """One layer: an attention, and feed-forward networks (several in a mixture of experts).

    It runs `times` times, one after the other, with the same weights: more than once where layers share them. A
    cross-attention of `crossing` channels beside it stays whole.
    """

    attention: Attention
    feed_forwards: tuple[FeedForward, ...]
    times: int = 1
    crossing: int = 0

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
    """All layers of a model, the path of their list, and the width of what flows between them.

    `opened` says as plain data how fused and transposed projections were opened, as `standalone/opening.py` reads it.
    A model in several `stacks`, by the paths of their lists, has all its layers in one more list, at `path`.
    """

    path: str
    blocks: tuple[Block, ...]
    hidden: int
    opened: Mapping[str, Any] = field(default_factory=dict)
    stacks: tuple[str, ...] = ()
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

    @property
    def several(self) -> bool:
        """Whether the layers lie in several stacks, between which the model does something else."""
        return len(self.stacks) > 1

    def check_one_stack(self, what: str) -> None:
        """Refuse what needs layers that run one after the other.

        Raises:
            ConfigError: The layers lie in several stacks.
        """
        if self.several:
            raise ConfigError(f"{what}: expected a model whose layers lie in one stack, found {', '.join(self.stacks)}")

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
