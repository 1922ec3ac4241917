"""Genomes made affordable: a bound on the additive cost that the space states per gene and level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.operators.options import check_share
from emoprune.operators.repair import order_slots
from emoprune.space import FREE, Group, IntArray, Space

__all__ = ["CostBound", "cost"]

FloatArray = NDArray[np.float64]

# Relative: aim this much above the bound at first, so that rounding does not cost one gene too many; what then is still
# above the bound aims this much below it.
MARGIN = 1e-9


@about("search", ["genomes"], cost="a few sorts of random numbers per genome above the bound")
@dataclass(frozen=True, slots=True)
class CostBound:
    """Lower randomly chosen free genes until a genome costs at most `share` of the space's full genome.

    The cost is the sum of level times cost over all genes. Locks and floors are kept and interchangeable slots sorted,
    so a legal genome stays legal; let `Legal` go first. Bits go off one after the other, ordered levels by random
    amounts; a gene that costs nothing is left alone, and so is a genome within the bound.
    """

    share: float

    def __post_init__(self) -> None:
        check_share(self, "share", self.share)

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones of the same shape.

        Raises:
            ConfigError: The space states no costs, or its locks and floors alone cost more than the bound.
        """
        cheapest = _cheapest(space)
        bound = self._bound(space, cheapest)
        bounded = genomes.copy()
        over = np.flatnonzero(cost(space, genomes) > bound)
        if len(over):
            bounded[over] = _lowered(space, genomes[over], bound, cheapest, rng)
            order_slots(space, bounded)
        return bounded

    def _bound(self, space: Space, cheapest: IntArray) -> float:
        full, least = cost(space, np.stack([space.full, cheapest])).tolist()
        if least > self.share * full:
            reachable = math.ceil(least / full * 1e6) / 1e6
            raise ConfigError(
                f"CostBound: expected a share that locks and floors leave within reach, found {self.share}; "
                f"the least reachable share is {reachable:g}: raise the share to it, or lower a floor"
            )
        return float(self.share * full)


def cost(space: Space, genomes: IntArray) -> FloatArray:
    """Return the sum of level times cost of each genome of shape (n, genes), the same in every batch.

    Raises:
        ConfigError: The space states no costs.
    """
    # Not a matrix product: how that rounds depends on how many genomes there are.
    return np.asarray((genomes * _costs(space)).sum(axis=1))


def _costs(space: Space) -> FloatArray:
    if space.costs is None:
        raise ConfigError("CostBound: expected a space with a cost per gene, found none; leave this repair out")
    return space.costs


def _cheapest(space: Space) -> IntArray:
    """Return the genome with nothing on but what locks and floors ask for, each floor at its cheapest genes.

    Groups inside others go first, so for separate and for nested groups no legal genome costs less.
    """
    costs = _costs(space)
    genome = np.where(space.locked == FREE, 0, space.locked)
    for group in sorted(space.groups, key=lambda group: len(group.genes)):
        members = np.array(group.genes, dtype=np.int64)
        missing = group.floor - int((genome[members] > 0).sum())
        available = members[(genome[members] == 0) & space.free[members]]
        genome[available[np.argsort(costs[available], kind="stable")][: max(0, missing)]] = 1
    return genome


def _lowered(space: Space, genomes: IntArray, bound: float, cheapest: IntArray, rng: np.random.Generator) -> IntArray:
    """Lower random genes by random amounts, then to the floors; only if that fails keep the cheapest genes instead."""
    costs, least = _costs(space), _least_levels(space, genomes, rng)
    portion = np.ceil(rng.random(genomes.shape) * (genomes - least)).astype(np.int64)
    lowered = _saved(genomes, portion, costs, bound * (1 + MARGIN), rng)
    lowered = _saved(lowered, lowered - least, costs, bound * (1 + MARGIN), rng)
    for kept in (least, np.broadcast_to(cheapest, least.shape)):
        over = np.flatnonzero(cost(space, lowered) > bound)
        raised = np.maximum(lowered[over], kept[over])
        lowered[over] = _saved(raised, raised - kept[over], costs, bound * (1 - MARGIN), rng)
    return lowered


def _least_levels(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    """Return the levels that must stay, shape (n, genes): the locked genes', and 1 for random genes of each floor."""
    least = np.where(space.locked == FREE, 0, genomes)
    for group in space.groups:
        if group.floor > 0:
            members = list(group.genes)
            least[:, members] = np.maximum(least[:, members], _holding(group, genomes, least, rng))
    return least


def _holding(group: Group, genomes: IntArray, least: IntArray, rng: np.random.Generator) -> IntArray:
    """Choose the genes that hold a group's floor: first those that must stay anyway, then random ones that are on."""
    members = list(group.genes)
    on = genomes[:, members] > 0
    ticket = np.where(on, rng.random(on.shape), 2.0) - (least[:, members] > 0)
    return np.asarray(on & (ticket.argsort(axis=1).argsort(axis=1) < group.floor), dtype=np.int64)


def _saved(
    genomes: IntArray, removable: IntArray, costs: FloatArray, target: float, rng: np.random.Generator
) -> IntArray:
    """Remove levels, at most `removable` per gene, gene after gene in random order until the target is met."""
    order = rng.random(genomes.shape).argsort(axis=1)
    price = np.broadcast_to(costs, genomes.shape)
    ordered_price = np.take_along_axis(price, order, axis=1)
    saving = np.take_along_axis(removable, order, axis=1) * ordered_price
    saved_before = np.cumsum(saving, axis=1) - saving
    excess = (genomes * costs).sum(axis=1, keepdims=True) - target
    wanted = np.clip(excess - saved_before, 0, saving)
    steps = np.ceil(np.divide(wanted, ordered_price, out=np.zeros_like(wanted), where=ordered_price > 0))
    removed = np.empty_like(genomes)
    np.put_along_axis(removed, order, steps.astype(np.int64), axis=1)
    return genomes - np.minimum(removed, removable)
