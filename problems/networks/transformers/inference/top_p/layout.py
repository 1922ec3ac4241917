"""From genomes to shares of attention, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.problems.networks.transformers.inference.standalone.evicting import Policy
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent
from emoprune.problems.networks.transformers.inference.standalone.top_p import TopP
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["NAME", "TopPLayout"]

NAME = "recent"  # of the importance that a cache wants, which here drops nothing


@dataclass(frozen=True, slots=True)
class TopPLayout:
    """A gene per layer for its share of attention; one each for pages, layers left whole, and bits.

    Attributes:
        layers: How many the model has.
        shares: Of the attention, rising; the last is 1, all of it.
        pages: Shares of the pages that are looked at, rising.
        page: Keys in a page.
        dense: How many of the first layers are left whole, rising.
        bits: Of rounded keys, rising.
    """

    layers: int
    shares: Sequence[float]
    pages: Sequence[float]
    page: int
    dense: Sequence[int]
    bits: Sequence[int]

    @property
    def space(self) -> Space:
        """The genes."""
        width = len(str(self.layers - 1))
        return Space(
            (
                *(Gene(f"layer{i:0{width}d}", len(self.shares), GeneKind.ORDERED) for i in range(self.layers)),
                Gene("pages", len(self.pages), GeneKind.ORDERED),
                Gene("dense", len(self.dense), GeneKind.ORDERED),
                Gene("bits", len(self.bits), GeneKind.ORDERED),
            )
        )

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes that stand for others: layers left whole have all of their attention, as all have in the last.

        Which layers are left whole says nothing once their shares do.
        """
        own: IntArray = genomes.copy()
        full = self.space.full
        first = np.asarray(self.dense)[own[:, -2]]
        own[:, : self.layers][np.arange(self.layers) < first[:, np.newaxis]] = len(self.shares) - 1
        own[:, -2] = 0
        whole = (own[:, : self.layers] == len(self.shares) - 1).all(axis=1)
        own[whole] = full
        return own

    def policy(self, genome: IntArray) -> Policy:
        """Return what a genome of shape (genes,) computes."""
        own = self.canonical(genome[np.newaxis])[0].tolist()
        pages, bits = self.pages[own[-3]], self.bits[own[-1]]
        shares = [self.shares[level] for level in own[: self.layers]]
        thin = tuple(None if share >= 1 else TopP(share, pages, self.page, bits) for share in shares)
        return Policy((1.0,) * self.layers, 0, 1, 0.0, Recent(), thin)

    def importance(self, genome: IntArray) -> str:  # noqa: ARG002  # the contract's; nothing is dropped
        """Return the name of what scores keys."""
        return NAME

    def genome(self, level: int, pages: int, bits: int) -> IntArray:
        """Return the genome with one level of attention in every layer."""
        own: IntArray = np.array([level] * self.layers + [pages, 0, bits], dtype=np.int64)
        (found,) = self.canonical(own[np.newaxis])
        return np.asarray(found, dtype=np.int64)
