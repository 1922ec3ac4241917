"""The first neurons of every ranking."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.errors import ConfigError
from emoprune.problems.reservoir.genes import SHARES
from emoprune.problems.reservoir.references.contract import ReferenceInputs

__all__ = ["Ranked"]


@about("pruning", ["neurons"], serves=["reservoir"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Ranked:
    """Half and a fifth of the neurons, those that each criterion ranks first, with all edges between them.

    Args:
        percentages: How many stay, multiples of five below 100.

    Raises:
        ConfigError: They are others.
    """

    percentages: tuple[int, ...] = (50, 20)

    def __post_init__(self) -> None:
        known = [round(100 * share) for share in SHARES[:-1]]
        wrong = [each for each in self.percentages if each not in known]
        if wrong or not self.percentages or len(set(self.percentages)) != len(self.percentages):
            raise ConfigError(
                f"percentages: expected multiples of 5 from 5 to 95, each once, found {list(self.percentages)}"
            )

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return `criterion-N` for each share and criterion."""
        pairs = [(percentage, name) for percentage in self.percentages for name in inputs.genes.rankings]
        return Found(
            tuple(
                Reference(f"{name}-{percentage}", inputs.genes.ranked(name, percentage / 100))
                for percentage, name in pairs
            )
        )
