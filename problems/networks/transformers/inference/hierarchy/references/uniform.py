"""The same stages in every layer, as the paper has it."""

from __future__ import annotations

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.problems.networks.transformers.inference.hierarchy.references.inputs import HierarchyInputs
from emoprune.problems.networks.transformers.inference.measures import HIERARCHY

__all__ = ["Uniform"]


@about(
    "pruning",
    ["tokens"],
    serves=[HIERARCHY],
    cost="nothing is run",
    papers=[
        Paper("InfiniteHiP: Extending Language Model Context Up to 3 Million Tokens on a Single GPU", "2502.08910")
    ],
)
class Uniform:
    """The same number of keys in every layer, for each share there is, found in the first list of stages.

    Source: InfiniteHiP: Extending Language Model Context Up to 3 Million Tokens on a Single GPU (arXiv 2502.08910).
    """

    def found(self, inputs: HierarchyInputs) -> Found:
        """Return the references, as `keys-0_1`, with the middle of the widenings."""
        layout = inputs.layout
        middle = len(layout.widenings) // 2
        return Found(
            tuple(
                Reference(f"keys-{share:g}".replace(".", "_"), layout.genome(level, 0, middle))
                for level, share in enumerate(layout.shares[:-1])
            )
        )
