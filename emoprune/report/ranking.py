"""Who stands where: the unpruned thing, the front from best to worst, and the other references, with their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import MEASURED, Constraint, Direction, Objective, as_minimised, violations
from emoprune.records import Split, State
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import change, numbers, plain, significant
from emoprune.run import ERROR, constraints_in, objectives_in

if TYPE_CHECKING:  # pandas takes longer to import than `emoprune status` may take
    import pandas as pd

__all__ = ["COLUMN_PREFIX", "Cell", "Entry", "Ranking", "rank", "with_errors"]

FloatArray = NDArray[np.float64]

STATUS_COLUMN = {Split.SEARCH: "status", Split.SELECT: "select.status", Split.TEST: "test.status"}
COLUMN_PREFIX = {Split.SEARCH: "obj", Split.SELECT: "select", Split.TEST: "test"}


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One member of the front or one reference.

    `measured` holds the objectives per split, shape (objectives,), in natural signs; NaN where nothing was measured.
    `errors` holds the standard errors of those that are means over blocks of examples, NaN for the others.
    `changes` holds how each differs from the unpruned in percent, on the split that is reported. `limits` holds the
    constraints' values on the last split that the candidate was measured on. `name` is the reference's name or empty;
    `statuses` says how each measurement ended, empty where there was none.
    """

    id: int
    name: str
    on_front: bool
    knee: bool
    best: bool
    feasible: bool
    generation: int
    statuses: Mapping[Split, str]
    measured: Mapping[Split, FloatArray]
    errors: Mapping[Split, FloatArray]
    changes: FloatArray
    limits: FloatArray


class Cell(NamedTuple):
    """An objective's number as written, its change against the unpruned, and whether that is for the better."""

    value: str
    change: str
    better: bool


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Everybody in order: `front` from best to worst in the first objective, `references` are those not on it.

    `split` says whose numbers are shown and ordered by: test once all of the front and the references were measured
    there, else search. `over` says whether the search is finished. `unpruned`
    is the first reference, wherever it stands; None while it has not been evaluated. `surpassed` were on the front
    until they were measured again.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    split: Split
    over: bool
    unpruned: Entry | None
    front: tuple[Entry, ...]
    references: tuple[Entry, ...]
    surpassed: tuple[Entry, ...]

    @property
    def choice(self) -> tuple[Entry, ...]:
        """The front from best to worst by what may choose: select once all of it was measured there, else search."""
        measured = all(np.isfinite(entry.measured[Split.SELECT]).all() for entry in self.front)
        return _sorted(self.front, self.objectives, Split.SELECT if measured else Split.SEARCH)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Everybody: the front, the other references, those that fell behind."""
        return (*self.front, *self.references, *self.surpassed)

    def values(self, entry: Entry) -> FloatArray:
        """Return the entry's objectives on the split that is shown."""
        return entry.measured[self.split]

    def changes(self, entry: Entry) -> list[float | None]:
        """Return per objective the change against the unpruned in percent of it; None where there is none."""
        if entry is self.unpruned:
            return [None] * len(self.objectives)
        return [value if np.isfinite(value) else None for value in entry.changes.tolist()]

    def cells(self, entries: Sequence[Entry]) -> dict[int, list[Cell]]:
        """Return per candidate one written cell for each objective, aligned among `entries`."""
        columns = np.array([self.values(entry) for entry in entries]).T.tolist()
        errors = np.array([entry.errors[self.split] for entry in entries]).T.tolist()
        written = zip(*(map(with_errors, columns, errors)), strict=True)
        return {entry.id: self._row(entry, texts) for entry, texts in zip(entries, written, strict=True)}

    def _row(self, entry: Entry, texts: Sequence[str]) -> list[Cell]:
        return [
            Cell(text, change(percent), _improves(percent, objective))
            for text, percent, objective in zip(texts, self.changes(entry), self.objectives, strict=True)
        ]

    def notes(self, entry: Entry) -> list[str]:
        """Say who this is and what is special or wrong about it."""
        notes = [plain(entry.name, 40)] if entry.name else []
        notes += ["best"] if entry.best else []
        notes += ["knee"] if entry.knee else []
        failed = [(split, status) for split, status in entry.statuses.items() if status not in ("ok", "")]
        where = {Split.SEARCH: "", Split.SELECT: " on select", Split.TEST: " on test"}
        notes += [f"failed{where[split]} ({plain(status, 20)})" for split, status in failed]
        notes += [_missed(constraint) for constraint in self.missed(entry)]
        if entry is self.unpruned and entry.on_front:
            notes.append("on the front")
        return notes

    def missed(self, entry: Entry) -> tuple[Constraint, ...]:
        """Return the constraints that the entry does not keep."""
        by = violations(entry.limits[None, :], self.constraints)[0]
        return tuple(constraint for constraint, amount in zip(self.constraints, by, strict=True) if amount > 0)


def rank(run: ReadableRun) -> Ranking:
    """Read a run's front and references and put them in order."""
    objectives, constraints = objectives_in(run.manifest), constraints_in(run.manifest)
    from emoprune.run.frames import reported_split  # it brings pandas, as `run.pareto` does

    frame = run.pareto
    entries = _entries(frame, objectives, constraints)
    split = reported_split(frame)
    first = run.manifest["references"][0]["candidate"] if run.manifest["references"] else None
    return Ranking(
        objectives,
        constraints,
        split,
        over=run.progress.state is State.FINISHED,
        unpruned=next((entry for entry in entries if entry.id == first), None),
        front=_sorted([entry for entry in entries if entry.on_front], objectives, split),
        references=_sorted([entry for entry in entries if entry.name and not entry.on_front], objectives, split),
        surpassed=_sorted([entry for entry in entries if not entry.name and not entry.on_front], objectives, split),
    )


def _entries(frame: pd.DataFrame, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> list[Entry]:
    measured = {
        split: _columns(frame, prefix, [objective.name for objective in objectives])
        for split, prefix in COLUMN_PREFIX.items()
    }
    errors = {
        split: _columns(frame, prefix, [f"{objective.name}{ERROR}" for objective in objectives])
        for split, prefix in COLUMN_PREFIX.items()
    }
    changes = _columns(frame, "delta", [objective.name for objective in objectives])
    limits = _latest_limits(frame, [constraint.name for constraint in constraints])
    on_front = frame["rank"].eq(1).fillna(value=False).to_numpy(dtype=np.bool_)  # what cannot be ranked has no rank
    return [
        Entry(
            id=int(row["candidate_id"]),
            name=str(row["name"]),
            on_front=bool(on_front[position]),
            knee=bool(row["knee"]),
            best=bool(row.get("best")),
            feasible=bool(row["feasible"]),
            generation=int(row["generation"]),
            statuses={split: str(row[column]) for split, column in STATUS_COLUMN.items()},
            measured={split: values[position] for split, values in measured.items()},
            errors={split: values[position] for split, values in errors.items()},
            changes=changes[position],
            limits=limits[position],
        )
        for position, row in enumerate(frame.to_dict("records"))
    ]


def _latest_limits(frame: pd.DataFrame, names: Sequence[str]) -> FloatArray:
    """Return what constraints are held against, from test if it was measured there, else from select, else search."""
    search, select, test = (_columns(frame, prefix, names) for prefix in ("con", "select.con", "test.con"))
    later = np.where(np.isfinite(select), select, search)
    return np.where(np.isfinite(test), test, later)


def _columns(frame: pd.DataFrame, prefix: str, names: Sequence[str]) -> FloatArray:
    """Return the columns `prefix.name` as an array of shape (rows, names); a column that is not there is NaN."""
    wanted = frame.reindex(columns=[f"{prefix}.{name}" for name in names])
    return wanted.to_numpy(dtype=np.float64)


def _sorted(entries: Sequence[Entry], objectives: Sequence[Objective], split: Split) -> tuple[Entry, ...]:
    if not entries:
        return ()
    values = as_minimised(np.array([entry.measured[split] for entry in entries]), objectives)
    ids = [entry.id for entry in entries]
    order = np.lexsort((ids, *values.T[::-1]))
    return tuple(entries[position] for position in order)


def with_errors(values: Sequence[float], errors: Sequence[float]) -> list[str]:
    """Write a column of numbers, each with its standard error if it has one."""
    if not np.isfinite(errors).any():
        return numbers(values)
    spreads = [f" ±{significant(error, 2)}" if np.isfinite(error) else "" for error in errors]
    widest = max(map(len, spreads))
    return [text + spread.ljust(widest) for text, spread in zip(numbers(values), spreads, strict=True)]


def _missed(constraint: Constraint) -> str:
    return "given up" if constraint.name == MEASURED else f"breaks {constraint.name}"


def _improves(percent: float | None, objective: Objective) -> bool:
    return percent is not None and (percent < 0 if objective.direction is Direction.MINIMISE else percent > 0)
