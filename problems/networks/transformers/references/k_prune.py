"""What K-prune's own search keeps."""

from __future__ import annotations

import numpy as np

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.problems.networks.transformers.references.keeping import genome_keeping
from emoprune.problems.networks.transformers.repair.k_prune import k_pruned

__all__ = ["KPruneSearch"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    papers=[
        Paper("Accurate Retraining-free Pruning for Pretrained Encoder-based Language Models (K-prune)", "2308.03449")
    ],
    gradients=True,
    cost="for each percentage and sub-layer, one pass forwards and backwards over the calibration batches",
)
class KPruneSearch:
    """Genomes of the heads and neurons that K-prune's search from layer to layer keeps.

    A genome of levels says how many of each layer stay, and the problem's criterion which: where these are others, it
    is called `k-prune-counts-P` instead of `k-prune-P`. The weights are repaired by the problem, not by the search.
    Source: Park et al., Accurate Retraining-free Pruning for Pretrained Encoder-based Language Models (K-prune), arXiv
    2308.03449.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each percentage."""
        anatomy, layout = inputs.layout.anatomy, inputs.layout
        if anatomy.several or any(len(block.feed_forwards) != 1 for block in anatomy.blocks):
            return Found(notes=("k-prune: none, because it goes through one stack of layers with one network each",))
        costs, fixed = _costs(inputs)
        units = float(sum(own.sum() for own in costs))
        together = [layout.together(group) for group in range(len(costs))]
        seed = int(inputs.rng.integers(2**63))
        references, notes = [], []
        for percentage in inputs.percentages:
            share = (percentage / 100 * (fixed + units) - fixed) / units
            if share <= 0:
                notes.append(f"k-prune: none at {percentage} %, which is less than what is no head and no neuron")
                continue
            _, plans = k_pruned(inputs.opened, costs, share, seed, together)
            kept = [own for plan in plans for own in (plan.heads, plan.neurons)]
            genome, exactly = genome_keeping(inputs, kept)
            if inputs.share(genome) > percentage / 100:
                notes.append(f"k-prune: none at {percentage} %, where a floor keeps more than that")
                continue
            references.append(Reference(f"k-prune-{percentage}" if exactly else f"k-prune-counts-{percentage}", genome))
        return Found(tuple(references), notes=tuple(notes))


def _costs(inputs: ReferenceInputs) -> tuple[list[Scores], float]:
    """Return what each unit costs of the counted measure, shape (units,) by group, and what is not a unit's."""
    anatomy = inputs.layout.anatomy
    whole = [np.arange(units) for units in anatomy.units]

    def counted(gone: int | None) -> float:
        kept = [own[:0] if group == gone else own for group, own in enumerate(whole)]
        plans = [BlockPlan.keeping(kept[2 * each], kept[2 * each + 1]) for each in range(len(anatomy.blocks))]
        return float(inputs.cost_model.counted(plans)[inputs.cost])

    every = counted(None)
    costs = [np.full(units, (every - counted(group)) / units) for group, units in enumerate(anatomy.units)]
    return costs, every - float(sum(own.sum() for own in costs))
