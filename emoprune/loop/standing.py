"""Where a session stands, told to its heartbeat piece by piece: what is measured, how fast, and for how long still."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from emoprune.config import SearchSettings
from emoprune.contracts import Alarming, Problem, Spending
from emoprune.evolution.archive import Archive
from emoprune.loop.results import alarms_of
from emoprune.records import Evaluation, Generation, Split
from emoprune.run.heartbeat import Heartbeat

__all__ = ["Standing"]


class Standing:
    """What is told of one session.

    Args:
        settings: How the search goes.
        heartbeat: Who is told.
        clock: The seconds that the time limit counts.
    """

    def __init__(self, settings: SearchSettings, heartbeat: Heartbeat, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._heartbeat = heartbeat
        self._clock = clock
        self._paid = 0  # evaluations done in this session, for the rate
        self._since = 0.0
        self.later: int | None = None  # candidates of the generations after this one; None where nobody can know

    @property
    def seconds(self) -> float:
        """The run's time so far, over all its sessions."""
        return self._heartbeat.seconds

    def begin(self) -> None:
        """Count the time of evaluations from now on."""
        self._since = self.seconds

    def afresh(self) -> None:
        """Say that the search begins at generation 0."""
        self._heartbeat.update(generation=0, evaluated=0, failed=0, front=0, hypervolume=None, best={})

    def restored(self, line: Mapping[str, Any], archive: Archive) -> None:
        """Say behind which generation the search goes on."""
        self._heartbeat.update(
            generation=int(line["generation"]),
            evaluated=archive.evaluated,
            failed=archive.failed,
            front=len(archive.front),
            hypervolume=float(line["hypervolume"]),
            best=archive.best,
            measured=_by_blocks(archive),
        )

    def asked(self, split: Split, count: int) -> None:
        """Say that so many candidates are to be measured."""
        self._heartbeat.update(phase=split.value, pending=count)

    def paid(self, piece: Sequence[Evaluation], pending: int) -> None:
        """Take in what was measured just now."""
        self._paid += _new_in(piece)
        self.known(piece, pending)

    def known(self, piece: Sequence[Evaluation], pending: int) -> None:
        """Take in what is known of this generation, some of which was measured by an earlier session."""
        spent = self.seconds - self._since
        rate = self._paid / spent if self._paid and spent > 0 else None
        now = self._heartbeat.progress
        retried = now.retried + sum(max(0, evaluation.ran.attempts - 1) for evaluation in piece)
        self._heartbeat.update(pending=pending, per_second=rate, retried=retried)
        if piece[0].split is Split.SEARCH:
            evaluated = now.evaluated + _new_in(piece)
            failed = now.failed + sum(not evaluation.ok for evaluation in piece)
            remaining = self._remaining(evaluated, pending, rate)
            self._heartbeat.update(evaluated=evaluated, failed=failed, remaining=remaining)

    def _remaining(self, evaluated: int, pending: int, rate: float | None) -> float | None:
        """Return the seconds left at this rate, up to whichever budget ends first; None where nobody can know."""
        if rate is None:
            return None
        budget = self._settings.evaluations
        planned = None if self.later is None else pending + self.later
        open_budgets = [planned, None if budget is None else budget - evaluated]
        known = [count for count in open_budgets if count is not None]
        if not known:
            return None
        left: float = max(0, min(known)) / rate
        limit = self._settings.time_limit
        return left if limit is None else min(left, max(0.0, limit - self._clock()))

    def finished(self, generation: Generation, archive: Archive) -> None:
        """Say that a generation is finished, what it gained, and what was seen so far."""
        before = self._heartbeat.progress.hypervolume
        self._heartbeat.update(
            generation=generation.index,
            front=len(generation.front),
            hypervolume=generation.hypervolume,
            change=None if before is None else generation.hypervolume - before,
            best=generation.best,
            message=generation.note,
            measured=_by_blocks(archive),
        )

    def spent(self, problem: Problem) -> None:
        """Say what measuring was charged so far, if the problem counts it."""
        if isinstance(problem, Spending):
            self._heartbeat.update(spent=dict(problem.spent()))

    def alarms(self, problem: Problem, shown: Callable[[], Sequence[Evaluation]]) -> None:
        """Say what the problem finds alarming in what was measured of the front and the references."""
        if isinstance(problem, Alarming):
            self._heartbeat.update(alarms=alarms_of(problem, shown()))


def _new_in(piece: Sequence[Evaluation]) -> int:
    """Return how many candidates were measured for the first time; others were measured further."""
    return sum(each.begun == 0 for each in piece)


def _by_blocks(archive: Archive) -> dict[str, int]:
    return {str(count): archive.measured[count] for count in sorted(archive.measured)}
