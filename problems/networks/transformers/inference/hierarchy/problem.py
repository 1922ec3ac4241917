"""Pruning of attention in stages: which keys each layer of a language model finds, in ever smaller chunks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from emoprune.contracts import Description, Paper, about
from emoprune.problems.networks.transformers.inference.hierarchy.layout import NAME, HierarchyLayout
from emoprune.problems.networks.transformers.inference.hierarchy.options import HierarchyOptions
from emoprune.problems.networks.transformers.inference.hierarchy.references.inputs import HierarchyInputs
from emoprune.problems.networks.transformers.inference.reading.problem import ReadingProblem
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent
from emoprune.space import IntArray

__all__ = ["KvHierarchy"]


@about(
    "pruning",
    ["tokens"],
    cost="what follows the texts is run once; what was read before it is taken from records",
    papers=[
        Paper("InfiniteHiP: Extending Language Model Context Up to 3 Million Tokens on a Single GPU", "2502.08910")
    ],
)
class KvHierarchy(ReadingProblem):
    """Prune the keys that a language model scores: they are found stage by stage, in ever smaller chunks.

    Genes say how many keys each layer attends to, how large the chunks of its stages are, and how much wider earlier
    stages are. Nothing is dropped from the cache. Keys keep the positions of the text, where the paper moves them.

    Source: InfiniteHiP: Extending Language Model Context Up to 3 Million Tokens on a Single GPU (arXiv 2502.08910).
    """

    options: ClassVar = HierarchyOptions
    _layout: HierarchyLayout

    def __init__(self, **given: Any) -> None:
        own = self._options_of_hierarchy = HierarchyOptions(**given)
        super().__init__(own, {NAME: Recent()}, "keys-scored")

    def made_layout(self, layers: int) -> HierarchyLayout:
        """Return what genomes of a model with so many layers mean."""
        own = self._options_of_hierarchy
        return HierarchyLayout(
            layers, (*own.shares, 1.0), tuple(own.stages), tuple(own.widenings), own.sinks, own.window
        )

    def reference_inputs(self, seed: int) -> HierarchyInputs:
        """Return what reference methods look at."""
        return HierarchyInputs(self._layout, np.random.default_rng([seed, 53]))

    def describe(self, genome: IntArray) -> Description:
        """Say how many keys each layer attends to, and in which chunks they are found."""
        thin = self._layout.policy(genome).thin or ()
        keys = " ".join("1" if each is None else f"{each.share:g}" for each in thin)
        stages = " ".join("none" if each is None else "-".join(map(str, each.chunks)) for each in thin)
        widening = self._layout.widenings[int(genome[-1])]
        return {"shares of keys": keys, "chunks by stage": stages, "widening": widening}
