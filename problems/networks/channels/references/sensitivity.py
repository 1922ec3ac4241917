"""Each coupling group pruned alone, then all of them as far as one threshold on the error allows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray, Found, MeasuredErrors, Paper, Starts, about
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.networks.channels.references.target import AtTargets, along
from emoprune.space import IntArray

__all__ = ["Sensitivity"]

ALONE = "alone"
FREE = 1e-5  # a rise of the error below this is none


@about(
    "pruning",
    ["channels"],
    serves=["channels"],
    cost="one evaluation for each width of each coupling group",
    papers=[Paper("FastNAS", appeared="NVIDIA Model Optimizer, as its code does it")],
)
@dataclass(frozen=True, slots=True)
class Sensitivity(AtTargets):
    """Genomes in which each coupling group is as narrow as a rise t of the error allows when it is alone.

    Every group is measured at every width with all others full, so groups times widths evaluations are spent, once for
    all targets. A group's rise never falls from a width to a narrower one, and a width counts as free if a narrower one
    is. The threshold t is the lowest that meets the target; where several widths share it, only as many are taken as
    the target needs, the widest first. The method of NVIDIA's FastNAS, as its code does it: NVIDIA Model Optimizer.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return what has to be measured: every group at every width with all others full."""
        return Found(starts={ALONE: _each_alone(inputs)})

    def picked(self, inputs: ReferenceInputs, starts: Starts, measured: MeasuredErrors) -> Found:
        """Return a reference for each target."""
        unpruned = float(measured(inputs.unpruned[np.newaxis])[0])
        if not np.isfinite(unpruned):
            return Found(notes=("sensitivity: left out, because the unpruned network could not be measured",))
        steps = _narrowing(inputs, measured(starts[ALONE]) - unpruned)

        def curve(positions: FloatArray) -> IntArray:
            return steps[((1 - positions) * (len(steps) - 1)).astype(np.int64)]

        return along(curve, "sensitivity", inputs, self.percentages)


def _each_alone(inputs: ReferenceInputs) -> IntArray:
    """Return the genomes with one group below full, group by group from its narrowest width: shape (steps, groups)."""
    full = inputs.unpruned
    group = np.repeat(np.arange(len(full)), full)
    genomes = np.tile(full, (len(group), 1))
    genomes[np.arange(len(group)), group] = np.concatenate([np.arange(levels) for levels in full])
    return genomes


def _narrowing(inputs: ReferenceInputs, rises: FloatArray) -> IntArray:
    """Return the genomes from unpruned to narrowest by rising threshold, shape (steps + 1, groups).

    `rises` are those of `_each_alone`, shape (steps,).
    """
    full = inputs.unpruned
    own = [_never_falling(each) for each in np.split(rises, np.cumsum(full)[:-1])]
    group = np.repeat(np.arange(len(full)), full)
    level = np.concatenate([np.arange(levels) for levels in full])
    below = full[group] - level
    order = np.lexsort((group, below, np.concatenate(own)))
    genomes = np.tile(full, (len(order) + 1, 1))
    genomes[np.arange(1, len(order) + 1), group[order]] = level[order]
    return np.minimum.accumulate(genomes, axis=0)


def _never_falling(rises: FloatArray) -> FloatArray:
    """Return the rises of one group's widths, narrowest first, so that no narrower width has a lower one."""
    free = np.minimum.accumulate(rises) < FREE
    costly = np.where(free, 0.0, rises)
    return np.maximum.accumulate(costly[::-1])[::-1]
