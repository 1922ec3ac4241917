"""Pruning of attention: how much of it each layer of a language model computes exactly while it goes on."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from emoprune.contracts import Description, Paper, about
from emoprune.problems.networks.transformers.inference.reading.problem import ReadingProblem
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent
from emoprune.problems.networks.transformers.inference.top_p.layout import NAME, TopPLayout
from emoprune.problems.networks.transformers.inference.top_p.options import TopPOptions
from emoprune.problems.networks.transformers.inference.top_p.references.inputs import TopPInputs
from emoprune.space import IntArray

__all__ = ["AttentionTopP"]


@about(
    "pruning",
    ["tokens"],
    cost="what follows the texts is run once; what was read before it is taken from records",
    papers=[Paper("Twilight: Adaptive Attention Sparsity with Hierarchical Top-p Pruning", "2502.02770")],
)
class AttentionTopP(ReadingProblem):
    """Prune the attention of a language model: each query attends to as few keys as get a share of its attention.

    A gene per layer says which share; others how many pages of keys are looked at, how many first layers are left
    whole, and to how many bits keys are rounded to find out. Nothing is dropped from the cache: a key that no query
    wants now may be wanted by the next.

    Source: Twilight: Adaptive Attention Sparsity with Hierarchical Top-p Pruning (arXiv 2502.02770).
    """

    options: ClassVar = TopPOptions
    _layout: TopPLayout

    def __init__(self, **given: Any) -> None:
        own = self._options_of_attention = TopPOptions(**given)
        super().__init__(own, {NAME: Recent()}, "read-bytes")

    def made_layout(self, layers: int) -> TopPLayout:
        """Return what genomes of a model with so many layers mean."""
        own = self._options_of_attention
        dense = tuple(each for each in own.dense if each <= layers)
        return TopPLayout(layers, (*own.shares, 1.0), tuple(own.pages), own.page, dense, tuple(own.bits))

    def reference_inputs(self, seed: int) -> TopPInputs:
        """Return what reference methods look at."""
        return TopPInputs(self._layout, np.random.default_rng([seed, 47]))

    def describe(self, genome: IntArray) -> Description:
        """Say which share of its attention each layer computes, and how the keys that get it are found."""
        thin = self._layout.policy(genome).thin or ()
        found = next((each for each in thin if each is not None), None)
        said: dict[str, str | int | float] = {
            "shares of attention": " ".join("1" if each is None else f"{each.p:g}" for each in thin)
        }
        return said if found is None else {**said, "pages looked at": found.pages, "bits of keys": found.bits}
