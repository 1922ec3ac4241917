"""Which genomes are legal: levels and kinds per gene, named groups with floors, locked genes, and the key of a genome.

A genome is a 1-D integer array with one level per gene, `0 <= genome[i] < levels[i]`. A gene is "on" at every level
above zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emoprune.errors import ContractError

__all__ = ["Gene", "GeneKind", "Group", "IntArray", "Space", "plain_genome", "read_genome"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ZERO = ord("0")
FREE = -1  # in Space.locked: this gene may take any of its levels


class GeneKind(StrEnum):
    """What a level means: kept or not, a size, or a name without order."""

    BIT = "bit"
    ORDERED = "ordered"
    CATEGORY = "category"


@dataclass(frozen=True, slots=True)
class Gene:
    """One position of a genome: its name, how many levels it has, what they mean, and the level it is locked to."""

    name: str
    levels: int = 2
    kind: GeneKind = GeneKind.BIT
    locked: int | None = None

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ContractError(f"gene {self.name!r}: expected at least 1 level, found {self.levels}")
        if self.kind is GeneKind.BIT and self.levels != 2:
            raise ContractError(f"gene {self.name!r}: a bit has 2 levels, found {self.levels}; use kind ORDERED")
        if self.locked is not None and not 0 <= self.locked < self.levels:
            raise ContractError(f"gene {self.name!r}: locked to {self.locked}, outside its levels 0..{self.levels - 1}")


@dataclass(frozen=True, slots=True)
class Group:
    """Genes that belong together: at least `floor` of them stay on; `interchangeable` slots mean a set, not a list."""

    name: str
    genes: tuple[int, ...]
    floor: int = 0
    interchangeable: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= len(self.genes):
            raise ContractError(f"group {self.name!r}: floor {self.floor} for {len(self.genes)} genes; lower the floor")
        if len(set(self.genes)) != len(self.genes):
            raise ContractError(f"group {self.name!r} names a gene twice: {self.genes}")


@dataclass(frozen=True, eq=False)
class Space:
    """All legal genomes of a problem.

    `genes` come in genome order; `costs`, one non-negative number per gene, is what each level above zero adds to the
    size of the pruned thing (used by the cost-bound repair); None means that no such additive cost is known.
    """

    genes: tuple[Gene, ...]
    groups: tuple[Group, ...] = ()
    costs: NDArray[np.float64] | None = None
    levels: IntArray = field(init=False, repr=False)
    locked: IntArray = field(init=False, repr=False)
    _key_type: np.dtype[np.unsignedinteger] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.genes:
            raise ContractError("a space needs at least one gene, found none")
        object.__setattr__(self, "genes", tuple(self.genes))
        object.__setattr__(self, "groups", tuple(self.groups))
        self._set("levels", np.array([gene.levels for gene in self.genes], dtype=np.int64))
        self._set("locked", np.array([FREE if g.locked is None else g.locked for g in self.genes], dtype=np.int64))
        # Big-endian, so that sorting keys as bytes sorts genomes gene by gene.
        width = np.min_scalar_type(int(self.levels.max()) - 1).newbyteorder(">")
        object.__setattr__(self, "_key_type", width)
        self._check_groups()
        self._check_costs()

    def _set(self, name: str, array: NDArray[np.int64] | NDArray[np.float64]) -> None:
        array.setflags(write=False)
        object.__setattr__(self, name, array)

    def _check_groups(self) -> None:
        for group in self.groups:
            outside = [gene for gene in group.genes if not 0 <= gene < len(self)]
            if outside:
                raise ContractError(f"group {group.name!r} names genes {outside} outside 0..{len(self) - 1}")
            reachable = sum(self.locked[gene] != 0 and self.levels[gene] > 1 for gene in group.genes)
            if reachable < group.floor:
                raise ContractError(
                    f"group {group.name!r}: at least {group.floor} genes must be on, but locks leave only {reachable}"
                )
            if group.interchangeable:
                self._check_slots(group)

    def _check_slots(self, slots: Group) -> None:
        """Refuse slots that cannot trade places: sorting them would change what the genome means, or break a rule."""
        alike = {(self.genes[gene].levels, self.genes[gene].kind, self.genes[gene].locked) for gene in slots.genes}
        if len(alike) > 1 or any(self.genes[gene].locked is not None for gene in slots.genes):
            raise ContractError(
                f"group {slots.name!r}: interchangeable genes need equal levels and kinds and no locks; split the group"
            )
        for other in self.groups:
            shared = set(slots.genes) & set(other.genes)
            partly = shared and shared != set(slots.genes)
            if other is not slots and ((shared and other.interchangeable) or (partly and other.floor)):
                raise ContractError(
                    f"groups {slots.name!r} and {other.name!r} share genes {sorted(shared)}: interchangeable genes can "
                    "belong to one such group, and to a group with a floor only all together"
                )

    def _check_costs(self) -> None:
        if self.costs is None:
            return
        costs = np.array(self.costs, dtype=np.float64)
        if costs.shape != (len(self),) or not np.isfinite(costs).all() or (costs < 0).any():
            raise ContractError(
                f"costs: expected {len(self)} finite non-negative numbers, one per gene, found shape {costs.shape}"
            )
        for group in self.groups:
            if group.interchangeable and len(set(costs[list(group.genes)].tolist())) > 1:
                raise ContractError(f"group {group.name!r}: interchangeable genes need equal costs")
        self._set("costs", costs)

    @classmethod
    def bits(cls, names: int | Iterable[str], *, groups: Sequence[Group] = ()) -> Space:
        """Make a space of bits, named by `names` or, for a number, `gene0`, `gene1`, ..."""
        labels = [f"gene{i}" for i in range(names)] if isinstance(names, int) else list(names)
        return cls(tuple(Gene(label) for label in labels), tuple(groups))

    @classmethod
    def ordered(cls, levels: Iterable[tuple[str, int]], *, groups: Sequence[Group] = ()) -> Space:
        """Make a space of ordered levels from pairs of a name and its number of levels."""
        return cls(tuple(Gene(name, count, GeneKind.ORDERED) for name, count in levels), tuple(groups))

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def names(self) -> tuple[str, ...]:
        """The genes' names, in genome order."""
        return tuple(gene.name for gene in self.genes)

    @property
    def free(self) -> BoolArray:
        """Which genes may vary, shape (genes,)."""
        return np.asarray((self.locked == FREE) & (self.levels > 1))

    @property
    def full(self) -> IntArray:
        """The genome with every gene at its highest level, locked genes at their lock: usually the unpruned thing."""
        return np.where(self.locked == FREE, self.levels - 1, self.locked)

    @property
    def size(self) -> int:
        """An upper bound on the number of legal genomes: the product of the free genes' levels, floors not counted."""
        product = 1
        for count in self.levels[self.free].tolist():
            product *= count
        return product

    def of_kind(self, kind: GeneKind) -> BoolArray:
        """Which genes are of `kind`, shape (genes,)."""
        return np.array([gene.kind is kind for gene in self.genes])

    def as_genomes(self, genomes: ArrayLike) -> IntArray:
        """Return `genomes` as an integer array of shape (n, genes).

        Raises:
            ContractError: The array has another width, or holds numbers that are not whole.
        """
        array = np.asarray(genomes)
        matrix = np.atleast_2d(array).astype(np.int64, copy=False)
        if matrix.ndim != 2 or matrix.shape[1] != len(self):
            raise ContractError(f"genomes: expected shape (n, {len(self)}), found {array.shape}")
        if array.dtype.kind not in "iub" and not np.array_equal(matrix, np.atleast_2d(array)):
            raise ContractError(f"genomes: expected whole numbers, found {array.dtype} with fractions")
        return matrix

    def legal(self, genomes: ArrayLike) -> BoolArray:
        """Say for each genome of shape (n, genes) whether levels, locks, floors and slot order are respected."""
        matrix = self.as_genomes(genomes)
        # Read as unsigned, what is below zero is beyond all levels: one comparison instead of two.
        ok = (matrix.view(np.uint64) < self.levels.view(np.uint64)).all(axis=1)
        held = np.flatnonzero(self.locked != FREE)
        ok &= (matrix[:, held] == self.locked[held]).all(axis=1)
        for group in self.groups:
            slots = matrix[:, list(group.genes)]
            ok &= (slots > 0).sum(axis=1) >= group.floor
            if group.interchangeable:
                ok &= (np.diff(slots, axis=1) >= 0).all(axis=1)
        return np.asarray(ok)

    def check(self, genomes: ArrayLike, source: str) -> IntArray:
        """Return `genomes` as a matrix, or say which one is illegal and where it came from.

        Raises:
            ContractError: At least one genome is not legal.
        """
        matrix = self.as_genomes(genomes)
        illegal = np.flatnonzero(~self.legal(matrix))
        if illegal.size:
            raise ContractError(
                f"{source}: {illegal.size} of {len(matrix)} genomes are illegal, the first is "
                f"{matrix[illegal[0]].tolist()}; levels, locks, floors and slot order must hold (add a repair)"
            )
        return matrix

    def keys(self, genomes: ArrayLike) -> list[bytes]:
        """Return one packed identity per genome of shape (n, genes); keys sort like the genomes themselves."""
        matrix = self.as_genomes(genomes)
        if len(matrix) == 0:
            return []
        narrow = matrix.astype(self._key_type)
        packed = np.packbits(narrow, axis=1) if self.levels.max() <= 2 else narrow
        row = np.dtype((np.void, packed.shape[1] * packed.dtype.itemsize))
        # numpy types the items of a void array as bytes or tuples; without fields they are bytes.
        return cast("list[bytes]", np.ascontiguousarray(packed).view(row).ravel().tolist())

    def from_keys(self, keys: Sequence[bytes]) -> IntArray:
        """Return the genomes, shape (n, genes), that `keys` are the packed identities of."""
        if not keys:
            return np.zeros((0, len(self)), dtype=np.int64)
        packed = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), -1)
        if self.levels.max() <= 2:
            return np.unpackbits(packed, axis=1, count=len(self)).astype(np.int64)
        return packed.view(self._key_type).astype(np.int64)

    def key(self, genome: ArrayLike) -> bytes:
        """Return the packed identity of one genome of shape (genes,)."""
        return self.keys(genome)[0]


def plain_genome(genome: NDArray[np.integer]) -> str | list[int]:
    """Return a genome of shape (genes,) as it is written down: digits, as in `0110`; a list if one does not do for all.

    A text takes a third of a list's room, and a tenth of the time to write.
    """
    if not len(genome) or genome.min() < 0 or genome.max() > 9:
        return cast("list[int]", genome.tolist())
    return bytes((genome + ZERO).astype(np.uint8)).decode("ascii")


def read_genome(plain: str | Sequence[int]) -> IntArray:
    """Return the genome that `plain_genome` wrote.

    Raises:
        ValueError: It is neither digits nor whole numbers.
    """
    if not isinstance(plain, str):
        return np.array(plain, dtype=np.int64)
    if not (plain.isascii() and plain.isdigit()):
        raise ValueError(f"expected a genome of digits, found {plain[:40]!r}")
    return np.frombuffer(plain.encode("ascii"), dtype=np.uint8).astype(np.int64) - ZERO
