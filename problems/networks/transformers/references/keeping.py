"""From units that a method keeps to the genome that keeps them, and whether it really does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs
from emoprune.space import IntArray

__all__ = ["genome_keeping"]


def genome_keeping(inputs: ReferenceInputs, kept: Sequence[IntArray]) -> tuple[IntArray, bool]:
    """Return the genome with as many units of each group as `kept`, and whether it keeps these very units.

    A genome of levels says how many stay, and the problem's criterion says which: then they may be others.

    Args:
        inputs: As a reference method gets them.
        kept: For each group the indices of the units that stay.
    """
    orders = [
        np.concatenate([own, np.setdiff1d(np.arange(units), own)]).astype(np.int64)
        for own, units in zip(kept, inputs.layout.anatomy.units, strict=True)
    ]
    genome = inputs.layout.encode([len(own) for own in kept], orders)
    plans = inputs.layout.decode(genome, inputs.orders)
    found = [own for plan in plans for own in (plan.heads, plan.neurons)]
    return genome, all(np.array_equal(one, np.sort(other)) for one, other in zip(found, kept, strict=True))
