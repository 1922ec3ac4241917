"""Rules that are kept at random."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.errors import ConfigError
from emoprune.problems.rules.genes import FIRST_BIT
from emoprune.problems.rules.references.contract import ReferenceInputs

__all__ = ["RandomRules"]


@about("pruning", ["rules"], serves=["rules"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class RandomRules:
    """Keep each rule and each exception with the same chance.

    Args:
        percentages: The chance that one stays, whole percentages.

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
        """Return a genome for each share."""
        space, references = inputs.space, []
        for percentage in self.percentages:
            genome = space.full.copy()
            genome[FIRST_BIT:] = inputs.rng.random(len(space) - FIRST_BIT) < percentage / 100
            references.append(Reference(f"random-{percentage}", genome))
        return Found(tuple(references))
