"""Whole layers taken away."""

from __future__ import annotations

import numpy as np
import torch

from emoprune.contracts import Found, Paper, about
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.problems.networks.transformers.running.passing import calls_of
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.space import IntArray

__all__ = ["DroppedLayers"]


@about(
    "pruning",
    ["layers"],
    serves=["heads-and-neurons"],
    papers=[Paper("ShortGPT: Layers in Large Language Models are More Redundant Than You Expect", "2403.03853")],
    cost="one pass over the calibration batches",
)
class DroppedLayers:
    """Genomes without whole layers, those first that change least what flows through them; none if layers stay.

    Source of the order: Men et al., ShortGPT: Layers in Large Language Models are More Redundant Than You Expect, arXiv
    2403.03853.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each percentage."""
        if not inputs.layout.drop_layers:
            return Found()
        if inputs.layout.anatomy.several:
            return Found(notes=("dropped-layers: none, because what flows through one stack of layers ends there",))
        units, order = inputs.layout.anatomy.units, np.argsort(_influence(inputs.opened), kind="stable")
        number = len(order)

        def genome_at(position: float) -> IntArray:
            gone = set(order[: number - max(1, round(position * number))].tolist())
            return inputs.layout.encode(units, inputs.orders, [each not in gone for each in range(number)])

        return Found(inputs.at_percentages("dropped-layers", genome_at))


def _influence(opened: Opened) -> Scores:
    """Return by how much each layer turns what flows through it: 1 - cosine of its input and output, on average."""
    narrower, anatomy = opened.narrower(), opened.anatomy
    blocks = opened.task.model.get_submodule(anatomy.path)
    turned, tokens = np.zeros(len(anatomy.blocks)), 0
    for batch in opened.task.parts[CALIBRATION]:
        calls = calls_of(narrower, batch.inputs)
        hidden = calls.hidden
        for number, block in enumerate(blocks):
            with torch.no_grad():
                after = calls.run(number, block, hidden)
            turned[number] += float((1 - torch.cosine_similarity(hidden, after, dim=-1)).double().sum())
            hidden = after
        tokens += hidden[..., 0].numel()
    return turned / tokens
