"""The frames a person works with: the history, and the front with its references (pareto.csv)."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoprune import front
from emoprune.contracts import Blocks, Constraint, Objective, as_minimised, violations
from emoprune.records import Evaluation, Split, table
from emoprune.run.choice import best_row
from emoprune.run.contents import ERROR
from emoprune.run.standard_errors import error_columns

__all__ = [
    "best_share",
    "history_frame",
    "pareto_frame",
    "pareto_schema",
    "reported_split",
    "with_descriptions",
    "without_formulas",
]

FloatArray = NDArray[np.float64]
Measured = Mapping[tuple[int, Split], Evaluation]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tabs and line feeds
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0")


def history_frame(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> pd.DataFrame:
    """Return one row per evaluation, in the order given, with `obj.<name>` and `con.<name>` in natural units."""
    plain = [
        {
            "candidate": evaluation.candidate.id,
            "generation": evaluation.candidate.generation,
            "origin": evaluation.candidate.origin,
            "parents": list(evaluation.candidate.parents),
            "genome": evaluation.candidate.genome.tolist(),
            "split": evaluation.split.value,
            "status": evaluation.status.value,
        }
        for evaluation in evaluations
    ]
    ran = [
        {
            "reason": evaluation.reason,
            "seed": evaluation.seed,
            "worker": evaluation.ran.worker,
            "seconds": evaluation.ran.seconds,
            "attempts": evaluation.ran.attempts,
        }
        for evaluation in evaluations
    ]
    before = ["candidate", "generation", "origin", "parents", "genome", "split", "status"]
    after = ["reason", "seed", "worker", "seconds", "attempts"]
    parts = [
        pd.DataFrame(plain, columns=before),
        _values(evaluations, [o.name for o in objectives], "obj."),
        _values(evaluations, [c.name for c in constraints], "con."),
        pd.DataFrame(ran, columns=after),
    ]
    return pd.concat(parts, axis=1)


def _values(evaluations: Sequence[Evaluation | None], names: Sequence[str], prefix: str) -> pd.DataFrame:
    return pd.DataFrame(_table(evaluations, names), columns=[prefix + name for name in names])


def _table(evaluations: Sequence[Evaluation | None], names: Sequence[str]) -> FloatArray:
    """Return the named values, shape (evaluations, names); a row of NaN where there is no evaluation."""
    rows = [[np.nan] * len(names) if each is None else table([each], names)[0] for each in evaluations]
    return np.array(rows, dtype=np.float64).reshape(len(evaluations), len(names))


def pareto_frame(
    evaluations: Sequence[Evaluation],
    remeasured: Measured,
    references: Mapping[int, str],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    *,
    reconsidered: Collection[int] = (),
    blocks: Blocks | None = None,
) -> pd.DataFrame:
    """Return the front of everything evaluated, every reference and what is `reconsidered`, best rank first.

    Rank 1 is the front. Once every member of the front was measured again on `select`, the ranks come from there;
    `feasible` and `crowding` speak of the split that the ranks come from, `test` holds the numbers to report. NaN
    stands for what was not measured. Where values are means over `blocks`, `<column>.se` is the standard error.
    """
    members = _members(evaluations, {*references, *reconsidered}, objectives, constraints)
    again = {split: _again(members, remeasured, split) for split in (Split.SELECT, Split.TEST)}
    measured = [member for member in members if member.ok]
    complete = bool(measured) and all((member.candidate.id, Split.SELECT) in remeasured for member in measured)
    ranking = again[Split.SELECT] if complete else members
    names = [objective.name for objective in objectives]
    feasible, values = _feasible(ranking, constraints), as_minimised(_table(ranking, names), objectives)
    ranks = _ranks(values, feasible)
    frame = pd.DataFrame(_identity(members, references))
    frame.insert(2, "rank", pd.Series(ranks, dtype="Int64"))
    frame["feasible"] = feasible
    frame["crowding"] = _crowding(values, ranks)
    bounded = [constraint.name for constraint in constraints]
    parts = [_values(members, names, "obj."), *(_values(rows, names, f"{split}.") for split, rows in again.items())]
    parts += [
        _values(members, bounded, "con."),
        *(_values(rows, bounded, f"{split}.con.") for split, rows in again.items()),
    ]
    parts.append(error_columns(members, Split.SEARCH, "obj.", names, blocks))
    parts += [error_columns(rows, split, f"{split}.", names, blocks) for split, rows in again.items()]
    frame = pd.concat([frame, *parts], axis=1)
    frame["knee"] = _knee(values, ranks)
    if blocks is not None:
        unpruned = [row for row, member in enumerate(members) if member.candidate.id == next(iter(references), None)]
        own = unpruned[0] if unpruned and feasible[unpruned[0]] else None
        among = {row for row, rank in enumerate(ranks) if rank == 1 or row == own}
        best = best_row(again[Split.SELECT], sorted(among), own, objectives, blocks) if complete else None
        frame["best"] = [int(row == best) for row in range(len(members))]
    for split, rows in again.items():
        frame[f"{split}.status"] = ["" if row is None else row.status.value for row in rows]
    frame = pd.concat([frame, _deltas(frame, references, names), pd.DataFrame(_provenance(members))], axis=1)
    size = frame["obj." + names[-1]] if names else frame["candidate_id"]
    order = np.lexsort((frame["candidate_id"], -size.fillna(-np.inf), frame["rank"].fillna(np.iinfo(np.int64).max)))
    return frame.iloc[order].reset_index(drop=True)


def _members(
    evaluations: Sequence[Evaluation],
    wanted: Collection[int],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
) -> list[Evaluation]:
    """Return the evaluations on the front, or of candidates that are `wanted` anyway, by candidate."""
    ranked = [e for e, fits in zip(evaluations, _feasible(evaluations, constraints), strict=True) if fits]
    values = as_minimised(table(ranked, [objective.name for objective in objectives]), objectives)
    best = {ranked[row].candidate.id for row in np.flatnonzero(front.non_dominated(values))}
    return [e for e in evaluations if e.candidate.id in best or e.candidate.id in wanted]


def best_share(
    evaluations: Sequence[Evaluation], objectives: Sequence[Objective], constraints: Sequence[Constraint], share: float
) -> list[Evaluation]:
    """Return the best `share` of all evaluations, at least the best one: by front after front, the oldest first."""
    ranked = [e for e, fits in zip(evaluations, _feasible(evaluations, constraints), strict=True) if fits]
    depth = front.depths(as_minimised(table(ranked, [objective.name for objective in objectives]), objectives))
    order = np.lexsort((np.array([each.candidate.id for each in ranked], dtype=np.int64), depth))
    return [ranked[place] for place in order[: math.ceil(share * len(evaluations))]]


def _feasible(evaluations: Sequence[Evaluation | None], constraints: Sequence[Constraint]) -> NDArray[np.bool_]:
    ok = np.array([each is not None and each.ok for each in evaluations], dtype=np.bool_)
    missed = violations(_table(evaluations, [constraint.name for constraint in constraints]), constraints)
    return np.asarray(ok & ~(missed > 0).any(axis=1), dtype=np.bool_)


def _again(members: Sequence[Evaluation], remeasured: Measured, split: Split) -> list[Evaluation | None]:
    return [remeasured.get((member.candidate.id, split)) for member in members]


def _ranks(values: FloatArray, feasible: NDArray[np.bool_]) -> list[int | None]:
    """Return the depth of each row, 1 for the front, None where nothing can be ranked."""
    rankable = feasible & np.isfinite(values).all(axis=1)
    ranks: list[int | None] = [None] * len(values)
    chosen = np.flatnonzero(rankable)
    for row, depth in zip(chosen, front.depths(values[chosen]), strict=True):
        ranks[row] = int(depth) + 1
    return ranks


def _crowding(values: FloatArray, ranks: Sequence[int | None]) -> FloatArray:
    """Return the crowding distance of each row within its rank; NaN at the ends and where nothing is ranked."""
    distances = np.full(len(values), np.nan)
    depths = np.array([0 if rank is None else rank for rank in ranks], dtype=np.int64)
    for depth in np.unique(depths[depths > 0]):
        rows = np.flatnonzero(depths == depth)
        distances[rows] = front.crowding(values[rows])
    return np.where(np.isinf(distances), np.nan, distances)


def _knee(values: FloatArray, ranks: Sequence[int | None]) -> NDArray[np.int64]:
    marks = np.zeros(len(values), dtype=np.int64)
    best = np.array([row for row, rank in enumerate(ranks) if rank == 1], dtype=np.int64)
    if len(best):
        marks[best[front.knee(values[best])]] = 1
    return marks


def _identity(members: Sequence[Evaluation], references: Mapping[int, str]) -> dict[str, list[Any]]:
    return {
        "candidate_id": [member.candidate.id for member in members],
        "name": [references.get(member.candidate.id, "") for member in members],
        "generation": [member.candidate.generation for member in members],
        "status": [member.status.value for member in members],
    }


def _provenance(members: Sequence[Evaluation]) -> dict[str, list[Any]]:
    genomes = [member.candidate.genome.astype("<i8").tobytes() for member in members]
    return {
        "genome_hash": [hashlib.blake2b(genome, digest_size=8).hexdigest() for genome in genomes],
        "seed": [member.seed for member in members],
        "wall_s": [member.ran.seconds for member in members],
        "worker": [member.ran.worker for member in members],
    }


def _deltas(frame: pd.DataFrame, references: Mapping[int, str], names: Sequence[str]) -> pd.DataFrame:
    """Return the change against the first reference in percent on the split that is reported; NaN without one."""
    unpruned = frame[frame["candidate_id"] == next(iter(references), None)]
    prefix = "test." if reported_split(frame) is Split.TEST else "obj."
    columns = {"delta." + name: _percent(frame[prefix + name], unpruned[prefix + name]) for name in names}
    return pd.DataFrame(columns, index=frame.index)


def _percent(values: pd.Series[float], origin: pd.Series[float]) -> pd.Series[float]:
    base = float(origin.iloc[0]) if len(origin) else np.nan
    if not base:
        return values * np.nan
    with np.errstate(over="ignore"):  # an origin next to nothing
        percent = (values - base) / abs(base) * 100
    return percent.where(np.isfinite(percent))


def reported_split(frame: pd.DataFrame) -> Split:
    """Return the split whose numbers count: test, once the whole front and all references were measured there."""
    due = (frame["rank"].eq(1).fillna(value=False) | frame["name"].ne("")) & frame["status"].eq("ok")
    return Split.TEST if due.any() and frame.loc[due, "test.status"].ne("").all() else Split.SEARCH


def with_descriptions(frame: pd.DataFrame, descriptions: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the front with one more column per label of what each candidate keeps, `keeps.<label>`."""
    rows = [descriptions.get(number, {}) for number in frame["candidate_id"]]
    return pd.concat([frame, pd.DataFrame(rows, index=frame.index).add_prefix("keeps.")], axis=1)


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    r"""Return `frame` with texts that a spreadsheet would run put behind an apostrophe (CWE-1236); numbers stay.

    Control characters, which would steer the terminal of whoever looks at the file, are spelt out, as in `\x1b`.
    """
    safe = frame.copy()
    for column in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[column]):
            safe[column] = [_inert(value) if isinstance(value, str) else value for value in safe[column]]
    return safe.rename(columns=_inert)


def _inert(text: str) -> str:
    spelt_out = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return "'" + spelt_out if text.startswith(_FORMULA_STARTS) else spelt_out


def pareto_schema(
    frame: pd.DataFrame, objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> dict[str, Any]:
    """Return what each column of pareto.csv means, with units and directions."""
    meanings: dict[str, dict[str, Any]] = {
        "candidate_id": {"meaning": "the candidate's number; `emoprune export RUN <number>` takes it"},
        "name": {"meaning": "the reference's name; empty for what the search found"},
        "rank": {"meaning": "1 for the front, deeper for what it dominates; empty if it could not be ranked"},
        "generation": {"meaning": "when the candidate was born; 0 is the first"},
        "status": {"meaning": "how its evaluation ended"},
        "feasible": {"meaning": "whether every constraint holds, on the split that the ranks come from"},
        "crowding": {"meaning": "how far its neighbours of the same rank are apart; empty at the ends"},
        "select.status": {"meaning": "how its evaluation on select ended; empty while it was not measured there"},
        "test.status": {"meaning": "how its evaluation on test ended; empty while it was not measured there"},
        "knee": {"meaning": "1 for the point that bulges furthest from the line between the extremes"},
        "best": {"meaning": "1 for the cheapest that is not shown on select to be worse than the best or the unpruned"},
        "genome_hash": {"meaning": "BLAKE2b-64 of the genome"},
        "seed": {"meaning": "the seed of its evaluation"},
        "wall_s": {"meaning": "seconds its evaluation took", "unit": "s"},
        "worker": {"meaning": "which worker evaluated it"},
    }
    for objective in objectives:
        facts = {"unit": objective.unit, "direction": objective.direction.value}
        meanings["obj." + objective.name] = {"meaning": "measured on the search split", **facts}
        meanings["select." + objective.name] = {"meaning": "measured again on the select split; ranks use it", **facts}
        meanings["test." + objective.name] = {"meaning": "measured on the test split: the number to report", **facts}
        meanings["delta." + objective.name] = {
            "meaning": "change against the unpruned, on test once all was measured there",
            "unit": "%",
        }
        for prefix, split in (("obj.", "search"), ("select.", "select"), ("test.", "test")):
            meaning = f"standard error of the mean over the blocks of the {split} split"
            meanings[prefix + objective.name + ERROR] = {"meaning": meaning, "unit": objective.unit}
    for constraint in constraints:
        bound = {"bound": constraint.bound, "sense": constraint.sense.value, "unit": constraint.unit}
        for prefix, split in (("con.", "search"), ("select.con.", "select"), ("test.con.", "test")):
            meanings[prefix + constraint.name] = {"meaning": f"measured on the {split} split", **bound}
    return {"schema_version": 1, "columns": {name: meanings.get(name, {}) for name in frame.columns}}
