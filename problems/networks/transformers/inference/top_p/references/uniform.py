"""One share of attention in every layer, as the paper has it."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.problems.networks.transformers.inference.measures import TOP_P
from emoprune.problems.networks.transformers.inference.top_p.references.inputs import TopPInputs

__all__ = ["Uniform"]


@about(
    "pruning",
    ["tokens"],
    serves=[TOP_P],
    cost="nothing is run",
    papers=[Paper("Twilight: Adaptive Attention Sparsity with Hierarchical Top-p Pruning", "2502.02770")],
)
@dataclass(frozen=True, slots=True)
class Uniform:
    """The same share of attention in every layer, for each share there is; half of the pages, keys of four bits.

    Source: Twilight: Adaptive Attention Sparsity with Hierarchical Top-p Pruning (arXiv 2502.02770).

    Args:
        pages: Which share of the pages is looked at, of those there are the nearest.
        bits: To how many bits keys are rounded, of those there are the nearest.
    """

    pages: float = 0.5
    bits: int = 4

    def found(self, inputs: TopPInputs) -> Found:
        """Return the references, as `p-0_9`."""
        layout = inputs.layout
        pages = min(range(len(layout.pages)), key=lambda level: abs(layout.pages[level] - self.pages))
        bits = min(range(len(layout.bits)), key=lambda level: abs(layout.bits[level] - self.bits))
        return Found(
            tuple(
                Reference(f"p-{share:g}".replace(".", "_"), layout.genome(level, pages, bits))
                for level, share in enumerate(layout.shares[:-1])
            )
        )
