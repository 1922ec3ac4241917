"""What both problems on single weights of transformers share."""

from __future__ import annotations

import fnmatch
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emoprune.contracts import Description, Inspection
from emoprune.problems.networks.layers.inspection import inspection_of_layers
from emoprune.problems.networks.layers.references.catalogue import first_references
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.export.tensors import PackedLayer
from emoprune.problems.networks.transformers.problem import PACKED, SAFETENSORS, TransformerProblem
from emoprune.problems.networks.transformers.weights.layers import LayerGenes, Ranks, layer_levels
from emoprune.problems.networks.transformers.weights.measured import weight_gradients
from emoprune.problems.networks.transformers.weights.options import TransformerWeightOptions
from emoprune.space import IntArray

__all__ = ["LayerProblem"]


class LayerProblem(TransformerProblem):
    """One ordered gene per linear layer of the stack: how strongly a treatment acts on it, the highest not at all.

    Args:
        options: Model, data and measures, and which layers stay as they are.
        treatment: What is done to a layer's weight.
        cost: The counted objective unless objectives are named.
    """

    def __init__(self, options: TransformerWeightOptions, treatment: Treatment, cost: str) -> None:
        super().__init__(options, cost)
        levels = layer_levels(
            self.open(),
            treatment.storing(self.dtype),
            lambda path: any(fnmatch.fnmatchcase(path, pattern) for pattern in options.ignore),
        )
        self._genes = LayerGenes(self.open(), levels)
        self.space = levels.space

    @abstractmethod
    def ranks(self) -> Ranks:
        """Return what the treatment made of the layers' scores."""

    def prepare(self, folder: Path, seed: int) -> None:
        """Fit a classifier if there is none, and make the references; all is kept in `folder`."""
        self._fit(folder)
        self._seed, self._folder = seed, folder
        self._references.keep(folder, self.space, lambda methods: first_references(methods, self.reference_inputs()))

    def reference_inputs(self) -> LayerReferenceInputs:
        """Return what reference methods look at."""
        own, levels = self.open(), self._genes.levels
        weights = {part.path: own.task.model.get_submodule(part.path).weight.detach() for part in levels.parts}
        rng = np.random.default_rng(self._seed)
        return LayerReferenceInputs.of(levels, weights, lambda: weight_gradients(own, levels), rng)

    def plans(self, genome: IntArray) -> list[BlockPlan]:
        """Return a genome's levels by layer of the stack."""
        return self._genes.plans(genome)

    @property
    def _whole(self) -> list[BlockPlan]:
        return self.plans(self.space.full)

    def counted(self, plans: Sequence[BlockPlan]) -> dict[str, float]:
        """Return macs and parameters that are not zero, the bytes of the packed weights, and a cache's, all of them."""
        levels = self._genes.decoded(list(plans))
        genome = self._genes.levels.encode(levels)
        return self._genes.levels.counted(genome[np.newaxis], self._unpruned)[0]

    def adjust(self) -> Adjust:
        """Return the treatment of single layers."""
        return self._genes.adjust(self.open().task.model, self.ranks())

    def packed(self, plans: Sequence[BlockPlan]) -> dict[str, PackedLayer]:
        """Return the treated layers."""
        return self._genes.packed(self.open().task.model, list(plans))

    @property
    def formats(self) -> tuple[str, ...]:
        """Packed has the bytes that were counted; safetensors holds zeros and roundings as floats."""
        return (PACKED, SAFETENSORS)

    def describe(self, genome: IntArray) -> Description:
        """Say what is left of each linear layer and what that costs."""
        labels, plans = self._genes.levels.treatment.labels, self.plans(genome)
        named = zip(self._genes.levels.parts, self._genes.decoded(plans).tolist(), strict=True)
        described: dict[str, str | int | float] = {part.path: labels[level] for part, level in named}
        return described | self.described(plans)

    def inspect(self) -> Inspection:
        """Return the layers, what each can be reduced to, and whether the bounds can be met."""
        note = "Layers outside of the stack, such as embeddings and an output layer tied to them, keep their weights."
        notes = [*self.open().notes, note]
        return inspection_of_layers(self._options.model, self._genes.levels, self._measures, notes)
