"""Genomes that only ever lose: genes are turned off and never on again.

For what is pruned step by step from the whole: the tokens of a prompt, the columns of a table. Floors are kept, so
nothing needs to be turned on again by a repair.

Source: PromptQuine (Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective, arXiv 2506.17930).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.operators.options import check_share
from emoprune.space import IntArray, Space

__all__ = ["DeletionMutation", "DeletionSampling"]

PROMPTQUINE = Paper("Evolving Prompts In-Context: An Open-ended, Self-replicating Perspective", "2506.17930")


@about("search", ["genomes"], cost="a sort of random numbers per genome", papers=[PROMPTQUINE])
@dataclass(frozen=True, slots=True)
class DeletionMutation:
    """Turn off 1 to `most` genes that are on, any number of them equally likely as long as one stays on.

    A gene is off at level 0, whatever its kind. A genome of which nothing can be turned off stays as it is.
    """

    most: int = 4

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ConfigError(f"DeletionMutation: expected to turn off at most 1 gene or more, found {self.most}")

    def __call__(self, space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
        """Take genomes of shape (n, genes) and return new ones; locked genes stay, and floors that held still do."""
        removable = space.free & (genomes > 0)
        available = removable.sum(axis=1)
        highest = np.minimum(self.most, np.maximum(available - 1, 1))
        count = np.minimum(rng.integers(1, highest, endpoint=True), np.maximum(available - 1, 0))
        return _deleted(space, genomes, count, rng)


@about("search", ["genomes"], cost="a sort of random numbers per genome", papers=[PROMPTQUINE])
@dataclass(frozen=True, slots=True)
class DeletionSampling:
    """The full genome with some of its genes turned off, each genome with a rate of its own.

    Rates are drawn from `steps` of them, evenly spaced from `least` to `most`; at least one gene is turned off.
    PromptQuine's own are 1/20 to 1/5; wider ones begin a search with genomes of all sizes.
    """

    least: float = 0.05
    most: float = 0.2
    steps: int = 10

    def __post_init__(self) -> None:
        check_share(self, "least", self.least)
        check_share(self, "most", self.most)
        if self.least > self.most:
            raise ConfigError(
                f"DeletionSampling: expected least to be no more than most, found {self.least} and {self.most}"
            )
        if self.steps < 1:
            raise ConfigError(f"DeletionSampling: expected 1 step or more, found {self.steps}")

    def __call__(self, space: Space, count: int, rng: np.random.Generator) -> IntArray:
        """Return genomes of shape (count, genes); floors hold that the full genome holds."""
        rates = rng.choice(np.linspace(self.least, self.most, self.steps), count)
        off = np.maximum(1, np.round(rates * space.free.sum())).astype(np.int64)
        return _deleted(space, np.tile(space.full, (count, 1)), off, rng)


def _deleted(space: Space, genomes: IntArray, count: IntArray, rng: np.random.Generator) -> IntArray:
    """Turn off up to `count` random genes of each genome, shape (n,), keeping locks, floors, and slots in order."""
    removable = space.free & (genomes > 0)
    ticket = np.where(removable, rng.random(genomes.shape), 2.0)
    place = ticket.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    gone = removable & (place < count[:, None])
    for group in space.groups:
        members = list(group.genes)
        gone[:, members] &= ~_held(genomes[:, members] > 0, gone[:, members], place[:, members], group.floor)
    deleted = np.where(gone, 0, genomes)
    for group in space.groups:
        if group.interchangeable:
            deleted[:, list(group.genes)] = np.sort(deleted[:, list(group.genes)], axis=1)
    return deleted


def _held(on: NDArray[np.bool_], gone: NDArray[np.bool_], place: IntArray, floor: int) -> NDArray[np.bool_]:
    """Say which of the genes of a group that would go have to stay, the last ones drawn: shape (n, members)."""
    missing = floor - (on & ~gone).sum(axis=1)
    last_first = np.where(gone, -place, 1).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return np.asarray(gone & (last_first < missing[:, None]))
