"""From candidates to tickets with seeds, and from finished tickets to evaluations; nothing is paid twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emoprune.contracts import Problem, constraints_of
from emoprune.evaluation.backends import Finished
from emoprune.evaluation.tickets import Ticket
from emoprune.records import Candidate, Evaluation, Split, Status, seed_for

__all__ = ["Evaluator"]


class Evaluator:
    """Turns candidates into tickets and finished tickets into evaluations, never paying for what is already `known`.

    Args:
        problem: Only its objectives, constraints and space are used here.
        run_seed: Every evaluation's seed is derived from it.
        known: Earlier evaluations by genome key and split, from the history of a run that is resumed.
        stage: Which stage's problem this is, None for a whole one.
    """

    def __init__(
        self,
        problem: Problem,
        run_seed: int,
        known: Mapping[tuple[bytes, Split], Evaluation],
        stage: str | None = None,
    ) -> None:
        self._space = problem.space
        self._names = [objective.name for objective in problem.objectives]
        self._names += [constraint.name for constraint in constraints_of(problem)]
        self._run_seed = run_seed
        self._known = known
        self._stage = stage

    def recalled_and_due(self, candidates: Sequence[Candidate], split: Split) -> tuple[list[Evaluation], list[Ticket]]:
        """Return what is already known of the candidates, and tickets for the rest."""
        if not candidates:
            return [], []
        keys = self._space.keys(np.stack([candidate.genome for candidate in candidates]))
        recalled, tickets = [], []
        for candidate, key in zip(candidates, keys, strict=True):
            earlier = self._known.get((key, split))
            if earlier is None:
                tickets.append(Ticket(candidate, split, seed_for(self._run_seed, key, split), key, self._stage))
            else:
                recalled.append(earlier)
        return recalled, tickets

    def recorded(self, finished: Finished) -> Evaluation:
        """Return the record of a finished ticket."""
        ticket, outcome = finished.ticket, finished.outcome
        values = dict(zip(self._names, outcome.values, strict=True)) if outcome.status is Status.OK else {}
        return Evaluation(
            ticket.candidate, ticket.split, outcome.status, values, ticket.seed, finished.ran, outcome.reason
        )
