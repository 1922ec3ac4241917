"""From genomes to what is dropped where, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.problems.networks.transformers.inference.standalone.dropping import TokenPolicy
from emoprune.problems.networks.transformers.inference.tokens.selectors.contract import TokenSelector
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["TokenLayout"]

LAYER, KEEP, SELECTOR, STRENGTH, LATER, LATER_KEEP = range(6)


@dataclass(frozen=True, slots=True, eq=False)
class TokenLayout:
    """Six genes: a layer, what stays there, who says which, how strongly; a later layer, and what stays there.

    Attributes:
        layers: Before which layers tokens may be dropped, rising.
        shares: Of the tokens, rising, below 1; the level above the last keeps all.
        selectors: By name.
        first: How many of the first tokens never go.
        special: Tokens of a text that never go.
    """

    layers: Sequence[int]
    shares: Sequence[float]
    selectors: Mapping[str, TokenSelector]
    first: int
    special: Sequence[int]

    @property
    def space(self) -> Space:
        """The genes."""
        levels = len(self.shares) + 1
        strengths = max(len(own.strengths) for own in self.selectors.values())
        return Space(
            (
                Gene("layer", len(self.layers), GeneKind.ORDERED),
                Gene("tokens", levels, GeneKind.ORDERED),
                Gene("selector", len(self.selectors), GeneKind.CATEGORY),
                Gene("strength", strengths, GeneKind.ORDERED),
                Gene("later layer", len(self.layers), GeneKind.ORDERED),
                Gene("later tokens", levels, GeneKind.ORDERED),
            )
        )

    def name(self, genome: IntArray) -> str:
        """Return the name of the selector of a genome."""
        return list(self.selectors)[int(genome[SELECTOR])]

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return for each genome, shape (n, 6), the one that stands for what it drops."""
        own: IntArray = genomes.copy()
        full = self.space.full
        counts = np.array([len(each.strengths) for each in self.selectors.values()])
        own[:, STRENGTH] = np.minimum(own[:, STRENGTH], counts[own[:, SELECTOR]] - 1)
        whole = own[:, KEEP] == full[KEEP]
        own[whole, LAYER : STRENGTH + 1] = full[LAYER : STRENGTH + 1]
        # What stays all, or goes before what stays first was chosen, is no second stage.
        none = (own[:, LATER_KEEP] == full[KEEP]) | (~whole & (own[:, LATER] <= own[:, LAYER]))
        own[none, LATER:] = full[LATER:]
        return own

    def policy(self, genome: IntArray) -> TokenPolicy:
        """Return what a genome of shape (6,) drops."""
        own = self.canonical(genome[np.newaxis])[0].tolist()
        most = len(self.shares)
        selector = self.selectors[self.name(genome)]
        level = own[KEEP]
        offset = 0
        if selector.offsets and level < most:
            place = round(level * (len(selector.offsets) - 1) / max(most - 1, 1))
            offset = selector.offsets[place]
        return TokenPolicy(
            layer=None if level == most else self.layers[own[LAYER]],
            share=1.0 if level == most else self.shares[level],
            offset=offset,
            strength=selector.strengths[min(own[STRENGTH], len(selector.strengths) - 1)],
            selector=selector.program(),
            later=None if own[LATER_KEEP] == most else self.layers[own[LATER]],
            later_share=1.0 if own[LATER_KEEP] == most else self.shares[own[LATER_KEEP]],
            first=self.first,
            special=self.special,
        )

    def genome(self, layer: int, level: int, selector: str, strength: int = 0) -> IntArray:
        """Return the genome that keeps one level of tokens before one of the layers, given by its place."""
        own: IntArray = self.space.full.copy()
        own[[LAYER, KEEP, SELECTOR, STRENGTH]] = layer, level, list(self.selectors).index(selector), strength
        (found,) = self.canonical(own[np.newaxis])
        return np.asarray(found, dtype=np.int64)
