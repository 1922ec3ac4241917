"""The first Gaussians of every ranking, whatever stratum they are in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, Reference, about
from emoprune.errors import ConfigError
from emoprune.problems.gaussians.references.contract import ReferenceInputs

__all__ = ["Ranked"]


@about("pruning", ["gaussians"], serves=["gaussians"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Ranked:
    """Some shares of the Gaussians, those that each criterion ranks first among all, to a twentieth of a stratum.

    Args:
        percentages: How many stay, whole percentages of all.

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

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return `criterion-N` for each share and criterion."""
        genes, references = inputs.genes, []
        for percentage in self.percentages:
            for name, scores in genes.scores.items():
                count = max(1, round(len(scores) * percentage / 100))
                first = np.argsort(-scores, kind="stable")[:count]
                references.append(Reference(f"{name}-{percentage}", genes.closest(name, first)))
        return Found(tuple(references))
