"""From a method that can keep more or less to the genome that just meets a target cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray, Found, Reference
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.space import IntArray

__all__ = ["AtTargets", "Curve", "Meeting", "along", "widest_within"]

# Rising positions from 0 to 1, shape (n,), to genomes, shape (n, groups): a higher position never prunes more.
Curve = Callable[[FloatArray], IntArray]

POINTS = 65  # of the curve looked at in one round, so that a round costs one call
ROUNDS = 8  # 64 ** 8 steps at most


@dataclass(frozen=True, slots=True)
class AtTargets:
    """A method that makes one reference for each target.

    Args:
        percentages: The targets, whole percentages of what the unpruned network costs.

    Raises:
        ConfigError: They are not percentages.
    """

    percentages: tuple[int, ...] = (75, 50, 25)

    def __post_init__(self) -> None:
        wrong = [each for each in self.percentages if not 0 < each < 100]
        if wrong or len(set(self.percentages)) != len(self.percentages) or not self.percentages:
            raise ConfigError(
                f"percentages: expected whole numbers from 1 to 99, each once, found {list(self.percentages)}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Meeting:
    """Where a curve meets a target: position, genome, and whether its cost is within the target at all."""

    position: float
    genome: IntArray
    within: bool


def widest_within(curve: Curve, inputs: ReferenceInputs, percentage: int) -> Meeting:
    """Return the highest position whose genome costs at most `percentage` % of the unpruned network.

    If even position 0 costs more, its genome is returned as not within.
    """
    limit = percentage * inputs.unpruned_cost
    best, low, high = curve(np.zeros(1))[0], 0.0, 1.0
    if inputs.costs(best[np.newaxis])[0] * 100 > limit:
        return Meeting(0.0, best, within=False)
    for _ in range(ROUNDS):
        positions = np.linspace(low, high, POINTS)
        genomes = curve(positions)
        within = np.flatnonzero(inputs.costs(genomes) * 100 <= limit)
        if not len(within):  # a position at the very edge can fall on either side by the last bit of a float
            break
        last, after = within[-1], min(within[-1] + 1, POINTS - 1)
        best, low, high = genomes[last], positions[last], positions[after]
        if np.abs(genomes[after] - best).sum() <= 1:  # nothing lies between them
            break
    return Meeting(float(low), best, within=True)


def along(curve: Curve, name: str, inputs: ReferenceInputs, percentages: Sequence[int]) -> Found:
    """Return `name-P`, the genome of the curve that just costs at most P % of the unpruned network, for each P.

    What the curve cannot reach is represented by its narrowest genome, as `name-P-floor`, with a note.
    """
    references, notes = [], []
    for percentage in percentages:
        met = widest_within(curve, inputs, percentage)
        label = f"{name}-{percentage}"
        if not met.within:
            reached = inputs.costs(met.genome[np.newaxis])[0] / inputs.unpruned_cost
            notes.append(
                f"{label}: no less than {reached:.1%} of the {inputs.cost} can be reached; it is {label}-floor"
            )
            label = f"{label}-floor"
        references.append(Reference(label, met.genome))
    return Found(tuple(references), notes=tuple(notes))
