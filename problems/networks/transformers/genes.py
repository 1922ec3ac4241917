"""What a genome says: per layer whether it stays, how many heads and neurons it keeps, and the bits of its weights."""

from __future__ import annotations

import math
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
EXPERT_STEP = 8  # neurons: kernels that multiply with all experts at once want rows of 16 bytes
KINDS = ("attention", "feed-forward")
MOST_BITS = 4096  # genes; beyond that nothing is learnt of single units within a search


@dataclass(frozen=True, slots=True, eq=False)
class GeneLayout:
    """Genes layer by layer: `layer` (if layers can be dropped), `heads`, `neurons`, and `bits` (if there is a choice).

    With form `levels` heads and neurons are one ordered gene each, whose levels are the counts in `table`; with `bits`
    each unit has a gene of its own; with one step attention and feed-forward networks go whole, each by a bit. `bits`
    are the numbers of bits to choose from, rising, 32 being the floats. With `whole_groups` the query heads of one key
    and value go together. With `uniform` all layers that stay have the same `heads`, `neurons` and `bits`, which are
    genes of all layers behind those that say which layers stay; `shares` are the neurons of each network of a layer,
    by their sum.
    """

    anatomy: Anatomy
    form: Form = "levels"
    steps: int = 16
    round_to: int = 1
    smallest: float = 0.0
    drop_layers: bool = True
    bits: tuple[int, ...] = ()
    whole_groups: bool = False
    uniform: bool = False
    table: tuple[IntArray, ...] = field(init=False, repr=False)
    space: Space = field(init=False, repr=False)
    shares: dict[int, list[int]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise ConfigError(f"genes: expected levels or bits, found {self.form!r}")
        if self.steps < 1 or self.round_to < 1:
            raise ConfigError(f"levels, round_to: expected 1 or more, found {self.steps} and {self.round_to}")
        if not 0 <= self.smallest <= 1:
            raise ConfigError(f"smallest: expected a share from 0 to 1, found {self.smallest}")
        if self.uniform:
            self._check_uniform()
        object.__setattr__(self, "table", tuple(map(self._counts, range(len(self.anatomy.groups)))))
        object.__setattr__(self, "space", self._space())

    def _check_uniform(self) -> None:
        sizes = {
            (own.attention.heads, own.attention.key_value_heads, *(each.neurons for each in own.feed_forwards))
            for own in self.anatomy.blocks
        }
        if self.form == "bits" or not self.whole_groups or len(sizes) > 1:
            raise ConfigError(
                "uniform: expected genes: levels, whole_groups: true and a model whose layers are all alike, found "
                f"genes: {self.form}, whole_groups: {str(self.whole_groups).lower()} and {len(sizes)} kinds of layers"
            )

    def together(self, group: int) -> int:
        """Return how many units of a group go or stay together."""
        return self.anatomy.blocks[group // 2].attention.group if self.whole_groups and group % 2 == 0 else 1

    def _counts(self, group: int) -> IntArray:
        together = self.together(group)
        units = self.anatomy.units[group] // together
        even = -(-units * np.arange(self.steps + 1) // self.steps)
        # Heads are few, and a head is a head: only neurons are rounded to what hardware likes.
        step = self.round_to if group % 2 else 1
        rounded = np.minimum(-(-even // step) * step, units)
        counts = np.unique(np.maximum(rounded * together, self.floor(group)))
        if not self.uniform:
            return counts
        if group % 2:
            self.shares.update(self._shares_of(np.maximum(counts, 1).tolist()))
            return np.array(sorted(self.shares), dtype=np.int64)
        # Configs of transformers want the hidden width to be a multiple of the number of heads.
        said = [own for own in counts.tolist() if own and self.anatomy.hidden % own == 0]
        return np.unique([*said, counts[-1]])

    def _shares_of(self, counts: Sequence[int]) -> dict[int, list[int]]:
        """Return for about as many neurons of a layer how many each network keeps, the same share, by their sum."""
        networks = [own.neurons for own in self.anatomy.blocks[0].feed_forwards]
        step = self.round_to if len(networks) == 1 else math.lcm(self.round_to, EXPERT_STEP)
        shares = [
            [min(own, max(1, -(-(own * count) // (sum(networks) * step)) * step)) for own in networks]
            for count in counts
        ]
        return {sum(own): own for own in shares}

    def floor(self, group: int) -> int:
        """Return how many units of a group stay in a layer that stays."""
        together = self.together(group)
        units = self.anatomy.units[group] // together
        return int(np.ceil(self.smallest * units - 1e-9)) * together

    def _space(self) -> Space:
        genes: list[Gene] = []
        layers: list[int] = []
        whole: tuple[list[int], list[int]] = ([], [])
        groups: list[Group] = []
        if self.uniform:
            layers = list(range(len(self.anatomy.blocks))) if self.drop_layers else []
            genes = [Gene(f"{number}.layer") for number in layers]
            sizes = {"heads": len(self.table[0]), "neurons": len(self.table[1]), "bits": len(self.bits)}
            genes += [Gene(name, size, GeneKind.ORDERED) for name, size in sizes.items() if size]
        for number in range(len(self.anatomy.blocks)) if not self.uniform else ():
            if self.drop_layers:
                layers.append(len(genes))
                genes.append(Gene(f"{number}.layer"))
            for group in (2 * number, 2 * number + 1):
                name = self.anatomy.groups[group].name
                if self.form == "levels":
                    whole[group % 2].append(len(genes))
                    alone = self.steps == 1 and len(self.table[group]) > 1
                    genes.append(Gene(name) if alone else Gene(name, len(self.table[group]), GeneKind.ORDERED))
                    continue
                start, together = len(genes), self.together(group)
                genes += [Gene(f"{name}.{unit}") for unit in range(self.anatomy.units[group] // together)]
                groups.append(Group(name, tuple(range(start, len(genes))), self.floor(group) // together))
            if self.bits:
                genes.append(Gene(f"{number}.bits", len(self.bits), GeneKind.ORDERED))
        if len(genes) > MOST_BITS:
            raise ConfigError(
                f"genes: {len(genes):,} bits are too many to search, expected at most {MOST_BITS:,}; use genes: levels"
            )
        if layers:
            groups.append(Group("layers", tuple(layers), 1))
        if self.steps == 1:  # attention changes places with attention only
            groups += [Group(name, tuple(own)) for name, own in zip(KINDS, whole, strict=True) if own]
        return Space(tuple(genes), tuple(groups))

    @property
    def stride(self) -> int:
        """How many genes a layer has; all have as many in form `levels`."""
        return self.drop_layers + 2 + bool(self.bits)

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes in which the other genes of a dropped layer are at their highest levels."""
        if not self.drop_layers or self.uniform:
            return genomes
        made = genomes.copy()
        for own in self._slices():
            dropped = made[:, own.start] == 0
            made[dropped, own.start + 1 : own.stop] = self.space.levels[own.start + 1 : own.stop] - 1
        return made

    def _slices(self) -> list[slice]:
        """Return where each layer's genes lie, if they are its own."""
        sizes = [
            self.stride
            if self.form == "levels"
            else self.drop_layers + block.attention.heads // self.together(2 * number) + block.neurons + bool(self.bits)
            for number, block in enumerate(self.anatomy.blocks)
        ]
        ends = np.cumsum(sizes)
        return [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]

    @property
    def coding(self) -> list[int]:
        """Which genes say how many bits weights have."""
        if not self.bits:
            return []
        return [len(self.space) - 1] if self.uniform else [own.stop - 1 for own in self._slices()]

    def decode(self, genome: IntArray, orders: Orders) -> list[BlockPlan]:
        """Return the plans of a genome, shape (genes,); at every level the first units of `orders` stay."""
        return [self._plan(number, own, orders) for number, own in enumerate(self._by_layer(genome))]

    def _by_layer(self, genome: IntArray) -> list[IntArray]:
        """Return the genes of each layer, those of all layers given to each."""
        if not self.uniform:
            return [genome[own] for own in self._slices()]
        number = len(self.anatomy.blocks)
        own, shared = (genome[:number], genome[number:]) if self.drop_layers else (genome[:0], genome)
        return [np.concatenate([own[place : place + 1], shared]) for place in range(number)]

    def _plan(self, number: int, genes: IntArray, orders: Orders) -> BlockPlan:
        kept = not self.drop_layers or bool(genes[0])
        own = genes[self.drop_layers :]
        bits = self.bits[int(own[-1])] if self.bits else 32
        kinds = []
        for group in (2 * number, 2 * number + 1):
            if self.form == "levels":
                kinds.append(self._first(group, int(self.table[group][own[group % 2]]), orders[group]))
            else:
                heads = self.anatomy.units[2 * number] // self.together(2 * number)
                bits_of_group = own[:heads] if group % 2 == 0 else own[heads : heads + self.anatomy.units[group]]
                together = self.together(group)
                first = np.flatnonzero(bits_of_group)[:, np.newaxis] * together
                kinds.append((first + np.arange(together)).reshape(-1))
        return BlockPlan(genes.astype(np.int16).tobytes(), kept, kinds[0], kinds[1], bits)

    def _first(self, group: int, count: int, order: IntArray) -> IntArray:
        """Return the units that stay where a group keeps `count`; of each network the same share if that is asked."""
        if group % 2 == 0 or not self.shares:
            return np.sort(order[:count])
        networks = [own.neurons for own in self.anatomy.blocks[group // 2].feed_forwards]
        parts = [
            order[(order >= end - size) & (order < end)][:share]
            for end, size, share in zip(np.cumsum(networks).tolist(), networks, self.shares[count], strict=True)
        ]
        return np.sort(np.concatenate(parts))

    def encode(self, counts: Sequence[int], orders: Orders, kept: Sequence[bool] | None = None) -> IntArray:
        """Return the genome of the highest levels that keep at most `counts` units of each group; all bits.

        Args:
            counts: By group, heads and neurons of each layer in turn; a floor is kept all the same.
            orders: Which units stay, for genomes of bits.
            kept: Which layers stay; None drops none.
        """
        stay = [kept is None or bool(kept[number]) for number in range(len(self.anatomy.blocks))]
        if self.uniform:
            layers = [int(own) for own in stay] if self.drop_layers else []
            fewest = [
                min(self._level(2 * number + kind, counts[2 * number + kind]) for number, own in enumerate(stay) if own)
                for kind in (0, 1)
            ]
            return np.array([*layers, *fewest, *([len(self.bits) - 1] if self.bits else [])], dtype=np.int64)
        genes: list[int] = []
        for number, stays in enumerate(stay):
            if self.drop_layers:
                genes.append(int(stays))
            for group in (2 * number, 2 * number + 1):
                genes += self._genes_of(group, counts[group] if stays else self.anatomy.units[group], orders)
            if self.bits:
                genes.append(len(self.bits) - 1)
        return np.array(genes, dtype=np.int64)

    def _level(self, group: int, count: int) -> int:
        return max(0, int(np.searchsorted(self.table[group], count, side="right")) - 1)

    def _genes_of(self, group: int, count: int, orders: Orders) -> list[int]:
        if self.form == "levels":
            return [self._level(group, count)]
        together = self.together(group)
        bits = np.zeros(self.anatomy.units[group] // together, dtype=np.int64)
        whole = max(count, self.floor(group)) // together * together
        bits[orders[group][:whole] // together] = 1
        return bits.tolist()
