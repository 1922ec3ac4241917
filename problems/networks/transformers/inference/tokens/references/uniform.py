"""One share of the tokens in the first layer there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.problems.networks.transformers.inference.measures import TOKENS
from emoprune.problems.networks.transformers.inference.tokens.references.inputs import TokenInputs

__all__ = ["Uniform"]


@about("pruning", ["tokens"], serves=[TOKENS], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Uniform:
    """The same share of the tokens of every example before the first layer, by each selector at its middle strength.

    Args:
        percentages: Of the tokens; of the shares there are, the largest within each.
    """

    percentages: Sequence[float] = (25, 50)

    def found(self, inputs: TokenInputs) -> Found:
        """Return a reference for each percentage and selector, as `coverage-50`; own counts stay as they are."""
        layout, found = inputs.layout, []
        for percentage in self.percentages:
            within = [level for level, share in enumerate(layout.shares) if share <= percentage / 100]
            for name, selector in layout.selectors.items():
                if within and not selector.offsets:
                    genome = layout.genome(0, within[-1], name, len(selector.strengths) // 2)
                    found.append(Reference(f"{name}-{percentage:g}".replace(".", "_"), genome))
        for name, selector in layout.selectors.items():
            if selector.offsets:
                genomes = [layout.genome(0, level, name) for level in range(len(layout.shares))]
                found.append(Reference(name, min(genomes, key=lambda own: abs(layout.policy(own).offset))))
        return Found(tuple(found))
