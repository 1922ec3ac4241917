"""Widths that taper towards the output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, Reference, about
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs


@about("pruning", ["channels"], serves=["channels"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Tapered:
    """Keep all of the first coupling group and ever less of those behind it.

    Args:
        last: The share of the last group that stays.
    """

    last: float = 0.25

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return one genome."""
        shares = np.linspace(1.0, self.last, len(inputs.levels.full))
        return Found((Reference("tapered", inputs.genomes_of_shares(shares[np.newaxis])[0]),))
