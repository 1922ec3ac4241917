"""A transformer's linear layers under a treatment: genes, costs, and the treated weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.rounds import smallest
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.cost import linear_part
from emoprune.problems.networks.transformers.export.tensors import PackedLayer
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.space import IntArray

__all__ = ["LayerGenes", "Ranks", "layer_levels"]

Ranks = Mapping[str, torch.Tensor]  # what the treatment made of a layer's scores, by the layer's path


def layer_levels(opened: Opened, treatment: Treatment, ignored: Callable[[str], bool]) -> LayerLevels:
    """Return the linear layers of a model's stack, in the order in which its layers run, and their levels.

    Layers outside of the stack keep their weights: those over a vocabulary are tied to the embeddings in many models,
    so that what is done to one is done to the other.

    Raises:
        ConfigError: No layer can be treated.
    """
    anatomy, tokens = opened.anatomy, opened.task.tokens
    anatomy.check_one_stack("model")
    shares = {
        f"{anatomy.path}.{number}.{path}": own.share
        for number, block in enumerate(anatomy.blocks)
        for own in block.feed_forwards
        for path in (*own.inputs, own.output)
    }
    wanted: list[tuple[Part, tuple[int, ...]]] = []
    for path, module in opened.task.model.get_submodule(anatomy.path).named_modules():
        whole = f"{anatomy.path}.{path}"
        if isinstance(module, nn.Linear) and not ignored(whole):
            wanted.append((linear_part(whole, round(tokens * shares.get(whole, 1.0))), tuple(module.weight.shape)))
    if not wanted:
        raise ConfigError("ignore: all linear layers of the model's stack are in it; leave one to prune")
    levels = LayerLevels.of(wanted, treatment)
    if not levels.layers:
        raise ConfigError(f"model: none of its layers can be changed at any of {', '.join(treatment.labels)}")
    return levels


class LayerGenes:
    """Turns genomes, one level per linear layer, into plans and treated weights."""

    def __init__(self, opened: Opened, levels: LayerLevels) -> None:
        self.levels = levels
        self._path = opened.anatomy.path
        self._whole = [opened.anatomy.whole(number) for number in range(len(opened.anatomy.blocks))]
        places = [int(part.path.removeprefix(f"{self._path}.").partition(".")[0]) for part in levels.parts]
        self._rows = [np.flatnonzero(np.array(places) == number) for number in range(len(self._whole))]

    def plans(self, genome: IntArray) -> list[BlockPlan]:
        """Return the plans of a genome; a plan's key holds the treatment's levels of its layers."""
        decoded = self.levels.decode(genome[np.newaxis])[0]
        return [
            BlockPlan(tuple(decoded[rows].tolist()), True, whole.heads, whole.neurons)
            for rows, whole in zip(self._rows, self._whole, strict=True)
        ]

    def decoded(self, plans: list[BlockPlan]) -> IntArray:
        """Return the treatment's levels of all layers that plans hold, shape (layers,)."""
        found = np.zeros(len(self.levels.parts), dtype=np.int64)
        for rows, plan in zip(self._rows, plans, strict=True):
            found[rows] = _levels(plan)
        return found

    def adjust(self, model: Any, ranks: Ranks) -> Adjust:
        """Return what treats the weights of one layer of the stack."""

        def treated(number: int, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
            made = dict(tensors)
            for row, level in zip(self._rows[number].tolist(), _levels(plan), strict=True):
                if level < self.levels.highest:
                    part = self.levels.parts[row]
                    name = part.path.removeprefix(f"{self._path}.{number}.")
                    weight = model.get_submodule(part.path).weight.detach()
                    own = ranks.get(part.path, torch.empty(0))
                    made[f"{name}.weight"] = self.levels.treatment.treated(part, weight, own, level)
            return made

        return treated

    def packed(self, model: Any, plans: list[BlockPlan]) -> dict[str, PackedLayer]:
        """Return the treated layers, by their weights' names."""
        found = {}
        for part, level in zip(self.levels.parts, self.decoded(plans).tolist(), strict=True):
            if level < self.levels.highest:
                weight = model.get_submodule(part.path).weight.detach()
                found[f"{part.path}.weight"] = PackedLayer(part, self.levels.treatment, level, weight)
        return found

    def zeros(self, model: Any, plans: list[BlockPlan]) -> dict[str, torch.Tensor]:
        """Return where the treated layers' weights are zero in `model`, by their names."""
        names = [
            f"{part.path}.weight"
            for part, level in zip(self.levels.parts, self.decoded(plans).tolist(), strict=True)
            if level < self.levels.highest
        ]
        return {name: model.get_parameter(name) == 0 for name in names}

    def smallest(self, model: Any, plans: list[BlockPlan], share: float) -> dict[str, torch.Tensor]:
        """Return where the smallest weights of `model` go: as many as the plans zero, or a share of the way there."""
        return smallest(model, self.levels, self.decoded(plans), share)


def _levels(plan: BlockPlan) -> tuple[int, ...]:
    """Return the treatment's levels that a plan of this module's making has for its key."""
    assert isinstance(plan.key, tuple)  # noqa: S101  # as `plans` makes them; narrows the type
    return plan.key
