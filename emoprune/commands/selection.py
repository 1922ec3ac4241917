"""One candidate of a front by what a person wishes: conditions first, then what decides among those that keep them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emoprune.commands.reopen import chosen
from emoprune.commands.wishes import Wishes
from emoprune.contracts import Direction, Objective, as_minimised
from emoprune.errors import ConfigError, RunNotFound
from emoprune.front import knee
from emoprune.records import Split
from emoprune.run import Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Selection", "Step", "select"]

FloatArray = NDArray[np.float64]

PREFIX = {Split.SEARCH: "obj.", Split.SELECT: "select."}


class Step(NamedTuple):
    """The next candidate of the front that is better in an objective, and what going there changes.

    `changes` are differences of the objectives in natural signs, in the objectives' order.
    """

    candidate: int
    better_in: str
    changes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """A candidate, why it is the one, and what its neighbours on the front would give and take.

    `values` and `errors` (standard errors) are those of the split that was chosen on, None where there is none; `test`
    are those on the test part, once it was measured there.
    """

    run: str
    candidate: int
    name: str
    why: str
    split: str
    values: Mapping[str, float]
    errors: Mapping[str, float | None]
    test: Mapping[str, float | None]
    neighbours: Sequence[Step]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        steps = [
            {**step._asdict(), "changes": dict(zip(self.values, step.changes, strict=True))} for step in self.neighbours
        ]
        parts = {"values": dict(self.values), "errors": dict(self.errors), "test": dict(self.test)}
        own = {"run": self.run, "candidate": self.candidate, "name": self.name, "why": self.why, "split": self.split}
        return {**own, **parts, "neighbours": steps}


@dataclass(frozen=True, slots=True, eq=False)
class _Front:
    """The members of a front and their objectives, shape (n, objectives), on the split that may choose.

    That is `select`, once the whole front was measured there, and else `search`; never `test`.
    """

    frame: pd.DataFrame
    whole: pd.DataFrame  # with the references
    objectives: tuple[Objective, ...]
    split: Split

    @classmethod
    def of(cls, run: Run) -> _Front:
        whole, objectives = run.pareto, tuple(run.objectives)
        frame = whole[whole["rank"].eq(1).fillna(value=False)].reset_index(drop=True)
        if frame.empty:
            raise RunNotFound(f"run {run.name} has no front to select from yet; let it search on")
        there = frame[[f"select.{each.name}" for each in objectives]].notna().to_numpy().all()
        return cls(frame, whole, objectives, Split.SELECT if there else Split.SEARCH)

    @property
    def names(self) -> list[str]:
        return [objective.name for objective in self.objectives]

    @property
    def values(self) -> FloatArray:
        return self._of(self.frame)

    @property
    def minimised(self) -> FloatArray:
        return as_minimised(self.values, self.objectives)

    @property
    def scaled(self) -> FloatArray:
        """What is to be made less, from 0 to 1 between the ends of the front."""
        low, high = self.minimised.min(axis=0), self.minimised.max(axis=0)
        return np.asarray((self.minimised - low) / np.where(high > low, high - low, 1.0))

    def _of(self, frame: pd.DataFrame) -> FloatArray:
        return frame[[f"{PREFIX[self.split]}{name}" for name in self.names]].to_numpy(dtype=np.float64)

    def place(self, name: str, option: str) -> int:
        """Return the column of an objective."""
        if name not in self.names:
            raise ConfigError(f"{option}: expected an objective, one of {', '.join(self.names)}, found {name[:80]!r}")
        return self.names.index(name)

    def of_reference(self, name: str) -> FloatArray:
        """Return a reference's objectives; of the unpruned, which is the first, where `name` is empty."""
        known = self.whole[self.whole["name"] != ""].sort_values("candidate_id")
        found = known.head(1) if not name else known[known["name"] == name]
        if found.empty:
            raise ConfigError(f"--reference: expected one of {', '.join(known['name'])}, found {name[:80]!r}")
        row: FloatArray = self._of(found)[0]
        if not np.isfinite(row).all():
            raise ConfigError(
                f"{found['name'].iloc[0]} was not measured on {self.split.value}; compare with another one"
            )
        return row


def select(run: Run, wishes: Wishes) -> Selection:
    """Return the candidate of a front that wishes mean; where nothing decides, `best` if there is one, or the knee.

    Raises:
        RunNotFound: No member of the front keeps the conditions, or there is no front.
        ConfigError: A wish names what the run does not have.
    """
    front = _Front.of(run)
    if wishes.marked and not (wishes.where or wishes.at_most_worse):
        number = chosen(run, wishes.marked).candidate.id
        rows = np.flatnonzero(front.frame["candidate_id"].eq(number))
        return _marked(run, front, number, int(rows[0]) if len(rows) else None, wishes.marked)
    kept, words = _kept(run, front, wishes)
    row, deciding = _decided(front, kept, wishes)
    among = f"{len(front.frame)} on the front"
    if words:
        among = f"{len(kept)} of {among} with {' and '.join(words)}"
    return _selection(run, front, row, f"{deciding} of {among}, measured on {front.split.value}")


def _kept(run: Run, front: _Front, wishes: Wishes) -> tuple[NDArray[np.int64], list[str]]:
    """Return the rows that keep the conditions, and these in words."""
    fits = np.ones(len(front.frame), dtype=np.bool_)
    words: list[str] = []
    for condition, words_of in _conditions(front, wishes):
        if not (fits & condition).any():
            before = f" of those with {' and '.join(words)}" if words else ""
            raise RunNotFound(
                f"run {run.name}: none of the {len(front.frame)} candidates on the front{before} has {words_of}; "
                f"{_reached(front, fits)}"
            )
        fits &= condition
        words.append(words_of)
    return np.flatnonzero(fits), words


def _conditions(front: _Front, wishes: Wishes) -> Iterator[tuple[NDArray[np.bool_], str]]:
    for condition in wishes.where:
        place = front.place(condition.objective, "--where")
        unpruned = float(front.of_reference("")[place]) if condition.percent else np.nan
        yield condition.kept(front.values[:, place], unpruned), condition.words(unpruned)
    margin = wishes.at_most_worse
    if margin is not None:
        row = front.of_reference(wishes.reference)
        allowed = margin.amount * abs(row[0]) / 100 if margin.percent else margin.amount
        origin = as_minimised(row[None, :], front.objectives)[0, 0]
        beside = wishes.reference or "the unpruned"
        words = f"{front.names[0]} at most {margin.text} worse than {beside}'s"
        yield np.asarray(front.minimised[:, 0] <= origin + allowed), words


def _reached(front: _Front, fits: NDArray[np.bool_]) -> str:
    """Say between what the objectives of those that are left lie."""
    rows = front.values[fits]
    spans = [
        f"{name} {low:.6g} to {high:.6g}" for name, low, high in zip(front.names, rows.min(0), rows.max(0), strict=True)
    ]
    return f"they have {', '.join(spans)}"


def _decided(front: _Front, kept: NDArray[np.int64], wishes: Wishes) -> tuple[int, str]:
    """Return the row that is wanted among those kept, and what decided; of equal ones the best in the others."""
    if wishes.least or wishes.most:
        name, option = (wishes.least, "--min") if wishes.least else (wishes.most, "--max")
        column = front.values[kept, front.place(name, option)] * (1 if wishes.least else -1)
        order = np.lexsort((front.scaled[kept].sum(axis=1), column))
        return int(kept[order[0]]), f"the {'least' if wishes.least else 'most'} {name}"
    if wishes.weights:
        weights = np.zeros(len(front.names))
        for name, weight in wishes.weights.items():
            weights[front.place(name, "--weights")] = weight
        weighed = front.scaled[kept] * weights / weights.sum()
        # The largest weighted loss first: on a hollow front a sum would know its ends alone.
        order = np.lexsort((weighed.sum(axis=1), weighed.max(axis=1)))
        shown = ", ".join(f"{name} {weight:g}" for name, weight in wishes.weights.items())
        return int(kept[order[0]]), f"the least loss by the weights {shown}"
    if wishes.at_most_worse and len(front.names) == 2 and not wishes.marked:
        objective = front.objectives[1]
        word = "least" if objective.direction is Direction.MINIMISE else "most"
        return int(kept[np.argmin(front.minimised[kept, 1])]), f"the {word} {objective.name}"
    marked = front.frame["best"].to_numpy()[kept] == 1 if "best" in front.frame else np.zeros(len(kept), dtype=np.bool_)
    if marked.any() and wishes.marked != "knee":
        return int(kept[np.argmax(marked)]), "the best by evidence"
    if wishes.marked == "best":
        raise ConfigError("--best: the best of the run does not keep the conditions; choose by --knee, --min or --max")
    return int(kept[knee(front.minimised[kept])]), "the knee"


def _marked(run: Run, front: _Front, number: int, row: int | None, mark: str) -> Selection:
    words = {"knee": "it bulges furthest from the line between the ends of the front"}
    words["best"] = "the cheapest that is not shown to be worse than the best one or the unpruned"
    if row is not None:
        return _selection(run, front, row, f"{words[mark]}, measured on {front.split.value}")
    whole = front.whole.reset_index(drop=True)
    own = _Front(whole, front.whole, front.objectives, front.split)
    return _selection(run, own, int(np.flatnonzero(whole["candidate_id"].eq(number))[0]), words[mark], steps=False)


def _selection(run: Run, front: _Front, row: int, why: str, *, steps: bool = True) -> Selection:
    own = front.frame.iloc[row]
    return Selection(
        run.name,
        int(own["candidate_id"]),
        str(own["name"]),
        why,
        front.split.value,
        dict(zip(front.names, front.values[row].tolist(), strict=True)),
        {name: _known(own.get(f"{PREFIX[front.split]}{name}.se")) for name in front.names},
        {name: _known(own[f"test.{name}"]) for name in front.names},
        list(_steps(front, row)) if steps else [],
    )


def _known(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _steps(front: _Front, row: int) -> Iterator[Step]:
    """Yield, objective by objective, the next member of the front that is better in it."""
    minimised, values = front.minimised, front.values
    for place, name in enumerate(front.names):
        better = np.flatnonzero(minimised[:, place] < minimised[row, place])
        if len(better):
            next_one = int(better[np.argmax(minimised[better, place])])
            changes = tuple((values[next_one] - values[row]).tolist())
            yield Step(int(front.frame["candidate_id"].iloc[next_one]), name, changes)
