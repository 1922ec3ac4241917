"""What a genome says: per layer whether it stays, how many heads and neurons it keeps, and the bits of its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.space import Gene, GeneKind, Group, IntArray, Space

__all__ = ["Form", "GeneLayout", "Orders"]

Form = Literal["levels", "bits"]
Orders = Sequence[IntArray]  # for each group of units their indices, the most important first
MOST_BITS = 4096  # genes; beyond that nothing is learnt of single units within a search


@dataclass(frozen=True, slots=True, eq=False)
class GeneLayout:
    """Genes layer by layer: `layer` (if layers can be dropped), `heads`, `neurons`, and `bits` (if there is a choice).

    With form `levels` heads and neurons are one ordered gene each, whose levels are the counts in `table`; with `bits`
    each unit has a gene of its own. `bits` are the numbers of bits to choose from, rising, 32 being the floats.
    """

    anatomy: Anatomy
    form: Form = "levels"
    steps: int = 16
    round_to: int = 1
    smallest: float = 0.0
    drop_layers: bool = True
    bits: tuple[int, ...] = ()
    table: tuple[IntArray, ...] = field(init=False, repr=False)
    space: Space = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ConfigError(f"genes: expected levels or bits, found {self.form!r}")
        if self.steps < 2 or self.round_to < 1:
            raise ConfigError(f"levels, round_to: expected 2 and 1 or more, found {self.steps} and {self.round_to}")
        if not 0 <= self.smallest <= 1:
            raise ConfigError(f"smallest: expected a share from 0 to 1, found {self.smallest}")
        object.__setattr__(self, "table", tuple(map(self._counts, range(len(self.anatomy.groups)))))
        object.__setattr__(self, "space", self._space())

    def _counts(self, group: int) -> IntArray:
        units = self.anatomy.units[group]
        even = -(-units * np.arange(self.steps + 1) // self.steps)
        # Heads are few, and a head is a head: only neurons are rounded to what hardware likes.
        step = self.round_to if group % 2 else 1
        rounded = np.minimum(-(-even // step) * step, units)
        return np.unique(np.maximum(rounded, self.floor(group)))

    def floor(self, group: int) -> int:
        """Return how many units of a group stay in a layer that stays."""
        return int(np.ceil(self.smallest * self.anatomy.units[group] - 1e-9))

    def _space(self) -> Space:
        genes: list[Gene] = []
        layers: list[int] = []
        groups: list[Group] = []
        for number in range(len(self.anatomy.blocks)):
            if self.drop_layers:
                layers.append(len(genes))
                genes.append(Gene(f"{number}.layer"))
            for group in (2 * number, 2 * number + 1):
                name, units = self.anatomy.groups[group].name, self.anatomy.units[group]
                if self.form == "levels":
                    genes.append(Gene(name, len(self.table[group]), GeneKind.ORDERED))
                    continue
                start = len(genes)
                genes += [Gene(f"{name}.{unit}") for unit in range(units)]
                groups.append(Group(name, tuple(range(start, start + units)), self.floor(group)))
            if self.bits:
                genes.append(Gene(f"{number}.bits", len(self.bits), GeneKind.ORDERED))
        if len(genes) > MOST_BITS:
            raise ConfigError(
                f"genes: {len(genes):,} bits are too many to search, expected at most {MOST_BITS:,}; use genes: levels"
            )
        if layers:
            groups.append(Group("layers", tuple(layers), 1))
        return Space(tuple(genes), tuple(groups))

    @property
    def stride(self) -> int:
        """How many genes a layer has; all have as many in form `levels`."""
        return self.drop_layers + 2 + bool(self.bits)

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes in which the other genes of a dropped layer are at their highest levels."""
        if not self.drop_layers:
            return genomes
        made = genomes.copy()
        for own in self.slices():
            dropped = made[:, own.start] == 0
            made[dropped, own.start + 1 : own.stop] = self.space.levels[own.start + 1 : own.stop] - 1
        return made

    def slices(self) -> list[slice]:
        """Return where each layer's genes lie."""
        sizes = [
            self.stride
            if self.form == "levels"
            else self.drop_layers + block.attention.heads + block.neurons + bool(self.bits)
            for block in self.anatomy.blocks
        ]
        ends = np.cumsum(sizes)
        return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]

    def decode(self, genome: IntArray, orders: Orders) -> list[BlockPlan]:
        """Return the plans of a genome, shape (genes,); at every level the first units of `orders` stay."""
        return [self._plan(number, genome[own], orders) for number, own in enumerate(self.slices())]

    def _plan(self, number: int, genes: IntArray, orders: Orders) -> BlockPlan:
        kept = not self.drop_layers or bool(genes[0])
        own = genes[self.drop_layers :]
        bits = self.bits[int(own[-1])] if self.bits else 32
        kinds = []
        for group in (2 * number, 2 * number + 1):
            if self.form == "levels":
                count = int(self.table[group][own[group % 2]])
                kinds.append(np.sort(orders[group][:count]))
            else:
                start = 0 if group % 2 == 0 else self.anatomy.units[2 * number]
                kinds.append(np.flatnonzero(own[start : start + self.anatomy.units[group]]))
        return BlockPlan(genes.astype(np.int16).tobytes(), kept, kinds[0], kinds[1], bits)

    def encode(self, counts: Sequence[int], orders: Orders, kept: Sequence[bool] | None = None) -> IntArray:
        """Return the genome of the highest levels that keep at most `counts` units of each group; all bits.

        Args:
            counts: By group, heads and neurons of each layer in turn; a floor is kept all the same.
            orders: Which units stay, for genomes of bits.
            kept: Which layers stay; None drops none.
        """
        genes: list[int] = []
        for number in range(len(self.anatomy.blocks)):
            stays = kept is None or bool(kept[number])
            if self.drop_layers:
                genes.append(int(stays))
            for group in (2 * number, 2 * number + 1):
                genes += self._genes_of(group, counts[group] if stays else self.anatomy.units[group], orders)
            if self.bits:
                genes.append(len(self.bits) - 1)
        return np.array(genes, dtype=np.int64)

    def _genes_of(self, group: int, count: int, orders: Orders) -> list[int]:
        if self.form == "levels":
            return [max(0, int(np.searchsorted(self.table[group], count, side="right")) - 1)]
        bits = np.zeros(self.anatomy.units[group], dtype=np.int64)
        bits[orders[group][: max(count, self.floor(group))]] = 1
        return bits.tolist()
