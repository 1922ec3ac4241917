"""What all single-objective loops have in common: the objective that they go by, and what they were told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emoprune.algorithms.ledger import Ledger
from emoprune.contracts import Objective, Paper
from emoprune.contracts.algorithm import Breeding, Proposed
from emoprune.errors import ConfigError, ContractError
from emoprune.plugins import nearest

__all__ = ["CLAPS", "SingleObjective"]

CLAPS = Paper("Survival of the Most Influential Prompts", "2310.12774")  # three of the loops are its own


class SingleObjective:
    """A loop that makes one objective better; what else is measured still makes the front.

    Args:
        name: What messages call the loop.
        objective: What is made better; the problem's first if None.
    """

    def __init__(self, name: str, objective: str | None) -> None:
        self._name = name
        self._objective = objective
        self._begun: tuple[Breeding, Ledger] | None = None

    @property
    def ended(self) -> str | None:
        """It goes on for as long as there are new genomes."""
        return None

    def check(self, objectives: Sequence[Objective]) -> None:
        """Refuse an objective that there is not.

        Raises:
            ConfigError: No objective has the name.
        """
        self._place(objectives)

    def _place(self, objectives: Sequence[Objective]) -> int:
        names = [each.name for each in objectives]
        if self._objective is None:
            return 0
        if self._objective not in names:
            raise ConfigError(
                f"search.algorithm: {self._name}: expected an objective out of {', '.join(names)}, found "
                f"{self._objective!r}{nearest(self._objective, names)}"
            )
        return names.index(self._objective)

    def begin(self, breeding: Breeding) -> None:
        """Take in what is searched."""
        self._begun = (breeding, Ledger(breeding, self._place(breeding.objectives)))

    @property
    def _search(self) -> Breeding:
        return self._started()[0]

    @property
    def _told(self) -> Ledger:
        return self._started()[1]

    def _started(self) -> tuple[Breeding, Ledger]:
        if self._begun is None:
            raise ContractError(f"{self._name}: call begin(breeding) before anything else")
        return self._begun

    def _nothing(self) -> Proposed:
        return Proposed.parentless(np.zeros((0, len(self._search.space)), dtype=np.int64))
