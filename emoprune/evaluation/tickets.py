"""A problem measures tickets: whatever goes wrong, in measuring or in what it answers, becomes an outcome.

Every backend measures here, so that all of them give the same outcomes.
"""

from __future__ import annotations

import itertools
import math
import numbers
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import LARGEST, Failure, FloatArray, Graded, Problem, Row, Rows, SeedArray, own_constraints_of
from emoprune.contracts.stages import Staged
from emoprune.records import Candidate, Split, Status
from emoprune.space import IntArray

__all__ = ["Outcome", "Ticket", "TimeLimitReached", "measure", "set_up"]

LONGEST = 2_000  # characters of a reason; a problem may put a whole log into one, and the history holds it


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One evaluation to do: a candidate, the split, the seed, and the key that sorts it among its neighbours.

    `stage` says which stage's problem measures it, None the whole one; `blocks` on which blocks of the split, None on
    all of it at once.
    """

    candidate: Candidate
    split: Split
    seed: int
    key: bytes
    stage: str | None = None
    blocks: range | None = None

    @property
    def kind(self) -> tuple[str, str, int]:
        """What all tickets of one chunk have in common: the stage, the split and the first block."""
        return self.stage or "", self.split.value, -1 if self.blocks is None else self.blocks.start


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a worker says of one genome: values in the problem's order, block after block, or why there are none."""

    status: Status
    values: tuple[float, ...] = ()
    reason: str | None = None


class TimeLimitReached(BaseException):
    """Interrupts an evaluation; not an Exception, so that a problem's own `except Exception` cannot swallow it."""


NOT_THE_PROBLEMS = (KeyboardInterrupt, TimeLimitReached)  # what a user and the engine raise while it measures


def set_up(problem: Problem, device: str, threads: int) -> None:
    """Let the problem load what it measures with; whatever it raises goes through.

    Raises:
        RuntimeError: It called `sys.exit`, which must not end the program, or a worker without a word.
    """
    try:
        problem.setup(device, threads)
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error


def measure(problem: Problem, tickets: Sequence[Ticket]) -> list[Outcome]:
    """Evaluate tickets of one split and stage on a problem that is set up; whatever goes wrong becomes an outcome.

    If the batch raises, its genomes are measured one by one, so that one bad genome costs nobody else the result.
    """
    try:
        if tickets[0].stage is not None and isinstance(problem, Staged):
            problem = problem.stage(tickets[0].stage)
        width = len(problem.objectives) + len(own_constraints_of(problem))
    except NOT_THE_PROBLEMS:
        raise
    except BaseException as error:  # a failure is a record, whatever the problem raised
        return [_raised(error)] * len(tickets)
    return _measured(problem, tickets, width)


def _measured(problem: Problem, tickets: Sequence[Ticket], width: int) -> list[Outcome]:
    genomes = np.stack([ticket.candidate.genome for ticket in tickets])
    seeds = np.array([ticket.seed for ticket in tickets], dtype=np.uint64)
    try:
        rows = _listed(_rows(problem, genomes, seeds, tickets[0]), len(tickets))
    except NOT_THE_PROBLEMS:
        raise
    except BaseException as error:  # a failure is a record, whatever the problem raised
        if len(tickets) > 1:
            return [outcome for ticket in tickets for outcome in _measured(problem, [ticket], width)]
        return [_raised(error)]
    return [_judged(row, width, tickets[0].blocks) for row in rows]


def _rows(problem: Problem, genomes: IntArray, seeds: SeedArray, first: Ticket) -> Rows:
    if first.blocks is None or not isinstance(problem, Graded):
        return problem.evaluate(genomes, seeds, first.split)
    return problem.evaluate_blocks(genomes, seeds, first.split, first.blocks)


def _listed(rows: Rows, count: int) -> Sequence[Row | Outcome]:
    """Return one row per genome, or the same outcome for all of them where nobody knows whose row is whose."""
    found = len(rows) if hasattr(rows, "__len__") else None
    if found == count:
        return list(rows)
    told = f"found {type(rows).__name__}" if found is None else f"one per genome, found {found}"
    return [_invalid(f"expected {count} rows, {told}")] * count


def _judged(row: Row | Outcome, width: int, blocks: range | None) -> Outcome:
    if isinstance(row, Outcome):
        return row
    if isinstance(row, Failure):
        return Outcome(Status.ERROR, reason=_bounded(row.reason))
    try:
        if blocks is None:
            return _judged_numbers(row, width)
        found = np.asarray(row)
        if found.shape != (len(blocks), width):
            return _invalid(f"expected {width} numbers for each of {len(blocks)} blocks, found shape {found.shape}")
        return _judged_numbers(found.ravel(), found.size)
    except NOT_THE_PROBLEMS:
        raise
    except BaseException as error:  # a row may compute its numbers only when it is read
        return _invalid(f"expected {width} numbers, found a row that cannot be read: {_said(error)}")


def _judged_numbers(row: Sequence[float] | FloatArray, width: int) -> Outcome:
    if not hasattr(row, "__iter__"):
        return _invalid(f"expected {width} numbers, found {type(row).__name__}")
    # One more than wanted shows that there are too many; a row may go on for ever.
    values = row.tolist() if isinstance(row, np.ndarray) else list(itertools.islice(row, width + 1))
    if not isinstance(values, list) or len(values) != width:
        return _invalid(f"expected {width} numbers, found {_shown(row if isinstance(row, list | tuple) else values)}")
    if not all(isinstance(value, numbers.Real) for value in values):
        return _invalid(f"expected plain numbers, found {_shown(values)}")
    plain = tuple(_float(value) for value in values)
    if not all(math.isfinite(value) for value in plain):
        return _invalid(f"expected finite numbers, found {_shown(plain)}")
    if any(abs(value) > LARGEST for value in plain):
        return _invalid(
            f"expected numbers between -{LARGEST:g} and {LARGEST:g}, found {_shown(plain)}; return a Failure for a "
            "genome that is to count as bad"
        )
    return Outcome(Status.OK, plain)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond all floats
        return math.copysign(math.inf, 1 if value > 0 else -1)


def _raised(error: BaseException) -> Outcome:
    last = traceback.extract_tb(error.__traceback__)[-1]
    # By name, because torch's own out-of-memory error cannot be imported here.
    exhausted = any("OutOfMemory" in kind.__name__ or kind is MemoryError for kind in type(error).__mro__)
    status = Status.OUT_OF_MEMORY if exhausted else Status.ERROR
    return Outcome(status, reason=f"{_said(error)} ({last.name}, line {last.lineno})")


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # an error of a plug-in's own may be unable to say anything
        text = "it cannot say more"
    return _bounded(f"{type(error).__name__}: {text}")


def _bounded(reason: str) -> str:
    return reason if len(reason) <= LONGEST else reason[: LONGEST - 3] + "..."


def _invalid(reason: str) -> Outcome:
    return Outcome(Status.INVALID, reason=reason)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
