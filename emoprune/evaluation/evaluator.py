"""From candidates to tickets with seeds, and from finished tickets to evaluations; nothing is paid twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from emoprune.contracts import MEASURED, Blocks, Problem, own_constraints_of
from emoprune.evaluation.backends import Finished
from emoprune.evaluation.tickets import Outcome, Ticket
from emoprune.records import Candidate, Evaluation, Split, Status, seed_for

__all__ = ["Evaluator", "Known"]

Known = Mapping[tuple[bytes, Split, int], Evaluation]  # by the genome's key, the split, and the block it begins with


class Evaluator:
    """Turns candidates into tickets and finished tickets into evaluations, never paying for what is already `known`.

    Args:
        problem: Only what it says of itself is used here.
        run_seed: Every evaluation's seed is derived from it.
        known: Earlier evaluations, from the history of a run that is resumed.
        stage: Which stage's problem this is, None for a whole one.
        blocks: What its scores are means over, in this run; None if it is measured in full.
    """

    def __init__(
        self, problem: Problem, run_seed: int, known: Known, stage: str | None = None, blocks: Blocks | None = None
    ) -> None:
        self._space = problem.space
        self._names = [objective.name for objective in problem.objectives]
        self._names += [constraint.name for constraint in own_constraints_of(problem)]
        self._run_seed = run_seed
        self._known = known
        self._stage = stage
        self._blocks = blocks
        self._before: dict[tuple[bytes, Split], Evaluation] = {}  # of candidates that are measured grade by grade

    def recalled_and_due(
        self, candidates: Sequence[Candidate], split: Split, blocks: range | None = None
    ) -> tuple[list[Evaluation], list[Ticket]]:
        """Return what is already known of the candidates, and tickets for the rest.

        Args:
            candidates: What is to be measured.
            split: Where.
            blocks: On which blocks, those before being measured; None for all. Of no meaning where there are none.
        """
        if not candidates:
            return [], []
        if self._blocks is None:
            blocks = None
        elif blocks is None:
            blocks = self._blocks.all_of(split)
        begin = 0 if blocks is None else blocks.start
        if begin == 0:
            self._before.clear()
        keys = self._space.keys(np.stack([candidate.genome for candidate in candidates]))
        recalled, tickets = [], []
        for candidate, key in zip(candidates, keys, strict=True):
            earlier = self._known.get((key, split, begin))
            if earlier is None:
                seed = seed_for(self._run_seed, key, split)
                tickets.append(Ticket(candidate, split, seed, key, self._stage, blocks))
            else:
                self._before[key, split] = earlier
                recalled.append(earlier)
        return recalled, tickets

    def recorded(self, finished: Finished) -> Evaluation:
        """Return the record of a finished ticket: of all that was measured of the candidate on the split so far."""
        ticket, outcome, ran = finished.ticket, finished.outcome, finished.ran
        begun = 0 if ticket.blocks is None else ticket.blocks.start
        before = self._before.get((ticket.key, ticket.split)) if begun else None
        if before is not None:
            ran = replace(ran, seconds=before.ran.seconds + ran.seconds)
        values, blocks = self._values(outcome, ticket, before)
        found = Evaluation(
            ticket.candidate, ticket.split, outcome.status, values, ticket.seed, ran, outcome.reason, begun, blocks
        )
        if ticket.blocks is not None:
            self._before[ticket.key, ticket.split] = found
        return found

    def _values(
        self, outcome: Outcome, ticket: Ticket, before: Evaluation | None
    ) -> tuple[dict[str, float], dict[str, tuple[float, ...]]]:
        """Return values by name, and of what varies those of each block so far."""
        known = {} if before is None else dict(before.blocks)
        if outcome.status is not Status.OK:
            return {}, known
        if ticket.blocks is None or self._blocks is None:
            return dict(zip(self._names, outcome.values, strict=True)), {}
        rows = np.reshape(outcome.values, (len(ticket.blocks), len(self._names)))
        columns = dict(zip(self._names, rows.T, strict=True))
        blocks = {name: (*known.get(name, ()), *columns[name].tolist()) for name in self._blocks.noisy}
        # What is exact is not averaged, so that no rounding makes equal costs differ.
        values = {name: float(column[-1]) for name, column in columns.items()}
        values |= {name: self._blocks.value(name, ticket.split, own) for name, own in blocks.items()}
        done = self._blocks.grades[-1] if ticket.split is not Split.SEARCH else ticket.blocks.stop
        return {**values, MEASURED: float(done)}, blocks
