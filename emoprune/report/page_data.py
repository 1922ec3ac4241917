"""What the page knows of a run: plain values for its plots and panels, everything foreign made harmless."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import MEASURED, Constraint, Objective, Sense, as_minimised, violations
from emoprune.records import Split
from emoprune.report.page_stages import stage_plots
from emoprune.report.ranking import Entry, Ranking, with_errors
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import change, labelled, number, passage, plain, shell_word, with_unit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["best_so_far", "plots"]

CLOUD_POINTS = 5_000  # more vector shapes than that make a browser slow
HEAT_MAP_ROWS = 200

FloatArray = NDArray[np.float64]


def plots(run: ReadableRun, ranking: Ranking) -> dict[str, Any]:
    """Return what the page's plots and its panel show, ready for JSON: no NaN, no text that could steer anything."""
    history = run.history
    return {
        "objectives": [_objective(objective) for objective in ranking.objectives],
        "split": ranking.split.value,
        "splits": [split.value for split in Split if _measured(ranking, split)],
        "candidates": _candidates(run, ranking, history),
        "cloud": _cloud(run, history, ranking),
        "best": best_so_far(history, ranking.objectives),
        "hypervolume": _hypervolume(run.generations),
        "genes": _genes(run.manifest, ranking, history),
        "stages": stage_plots(run, ranking),
    }


def _objective(objective: Objective) -> dict[str, str]:
    return {
        "name": objective.name,
        "unit": plain(objective.unit, 20),
        "label": labelled(objective.name, objective.unit),
    }


def _measured(ranking: Ranking, split: Split) -> bool:
    return any(np.isfinite(entry.measured[split]).any() for entry in ranking.entries)


def _candidates(run: ReadableRun, ranking: Ranking, history: pd.DataFrame) -> list[dict[str, Any]]:
    ids = history["candidate"].to_numpy()
    descriptions, marked = run.descriptions, run.marked
    return [
        {
            "id": entry.id,
            "name": plain(entry.name, 40),
            "kind": _kind(entry, ranking),
            "on_front": entry.on_front,
            "knee": entry.knee,
            "notes": ", ".join(ranking.notes(entry)),
            "position": int(np.searchsorted(ids, entry.id)) + 1,
            "values": {split.value: _listed(entry.measured[split]) for split in Split},
            "errors": {split.value: _listed(entry.errors[split]) for split in Split},
            "numbers": _numbers(entry, ranking),
            "limits": _limits(entry, ranking.constraints),
            "keeps": [[plain(label, 80), _word(value)] for label, value in descriptions.get(entry.id, {}).items()],
            "text": [[passage(each.text), each.kept] for each in marked.get(entry.id, ())],
            "born": _born(history.iloc[int(np.searchsorted(ids, entry.id))]),
            "command": f"emoprune export {shell_word(run.name)} {entry.id}",
        }
        for entry in ranking.entries
    ]


def _kind(entry: Entry, ranking: Ranking) -> str:
    if entry is ranking.unpruned:
        return "unpruned"
    if entry.name:
        return "reference"
    return "front" if entry.on_front else "surpassed"


def _listed(values: FloatArray) -> list[float | None]:
    """Return the numbers with None for NaN, which JSON does not know."""
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _numbers(entry: Entry, ranking: Ranking) -> list[list[str]]:
    """Return one row per objective: its name, its number on each split, its change against the unpruned."""
    rows = np.array([entry.measured[split] for split in Split]).T.tolist()
    errors = np.array([entry.errors[split] for split in Split]).T.tolist()
    return [
        [labelled(objective.name, objective.unit), *with_errors(row, own), change(percent)]
        for objective, row, own, percent in zip(ranking.objectives, rows, errors, ranking.changes(entry), strict=True)
    ]


def _limits(entry: Entry, constraints: Sequence[Constraint]) -> list[list[str | bool]]:
    """Return one row per constraint: its name, its value, its bound in words, whether it holds."""
    missed = violations(entry.limits[None, :], constraints)[0] > 0
    return [
        [constraint.name, with_unit(float(value), constraint.unit), _bound(constraint), bool(not broken)]
        for constraint, value, broken in zip(constraints, entry.limits, missed, strict=True)
    ]


def _bound(constraint: Constraint) -> str:
    side = "at most" if constraint.sense is Sense.AT_MOST else "at least"
    return f"{side} {with_unit(constraint.bound, constraint.unit)}"


def _word(value: str | int | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else plain(value, 2_000)


def _born(row: pd.Series[Any]) -> str:
    parents = ", ".join(str(parent) for parent in row["parents"])
    origin = plain(row["origin"], 80)
    return f"generation {row['generation']}, {origin}" + (f", from {parents}" if parents else "")


def _cloud(run: ReadableRun, history: pd.DataFrame, ranking: Ranking) -> dict[str, Any]:
    """Return the evaluated candidates that are not candidates of the page already, evenly sampled if there are many."""
    shown = [entry.id for entry in ranking.entries]
    others = np.flatnonzero((history["status"].eq("ok") & ~history["candidate"].isin(shown)).to_numpy())
    chosen = others
    if len(others) > CLOUD_POINTS:
        chosen = others[np.linspace(0, len(others) - 1, CLOUD_POINTS).round().astype(int)]
    rows = history.iloc[chosen]
    limits = rows[[f"con.{constraint.name}" for constraint in ranking.constraints]].to_numpy(dtype=np.float64)
    return {
        "ids": rows["candidate"].tolist(),
        "positions": (chosen + 1).tolist(),
        "generations": rows["generation"].tolist(),
        "values": [rows[f"obj.{objective.name}"].tolist() for objective in ranking.objectives],
        "graded": bool(run.manifest.get("blocks")),
        "feasible": (~(violations(limits, ranking.constraints) > 0).any(axis=1)).tolist(),
        "all": len(others),
    }


def best_so_far(history: pd.DataFrame, objectives: Sequence[Objective]) -> dict[str, list[float]] | None:
    """Return where a single objective got better; None where several share the search."""
    if len(objectives) != 1:
        return None
    values = as_minimised(history[[f"obj.{objectives[0].name}"]].to_numpy(dtype=np.float64), objectives)[:, 0]
    if f"con.{MEASURED}" in history:  # what was given up was measured on some of the examples alone
        measured = history[f"con.{MEASURED}"].to_numpy(dtype=np.float64)
        values = np.where(measured == np.nanmax(measured), values, np.nan)
    best = np.fmin.accumulate(values)
    before = np.concatenate([[np.inf], np.nan_to_num(best[:-1], nan=np.inf)])
    better = np.flatnonzero(best < before)
    steps = np.unique([*better, len(values) - 1]) if len(better) else better
    return {"positions": (steps + 1).tolist(), "values": as_minimised(best[steps][:, None], objectives)[:, 0].tolist()}


def _hypervolume(generations: pd.DataFrame) -> dict[str, list[Any]]:
    return {name: generations[name].tolist() for name in ("generation", "evaluated", "hypervolume")}


def _genes(manifest: Mapping[str, Any], ranking: Ranking, history: pd.DataFrame) -> dict[str, Any]:
    """Return the front's genomes, ordered by the last objective, evenly sampled if there are many."""
    front = sorted(ranking.front, key=lambda entry: (entry.measured[Split.SEARCH][-1], entry.id))
    if len(front) > HEAT_MAP_ROWS:
        front = [front[row] for row in np.linspace(0, len(front) - 1, HEAT_MAP_ROWS).round().astype(int)]
    genomes = history.set_index("candidate")["genome"]
    genes = manifest.get("genes", ())
    return {
        "names": [plain(gene["name"], 80) for gene in genes],
        "levels": [gene["levels"] for gene in genes],
        "ids": [entry.id for entry in front],
        "genomes": [list(genomes[entry.id]) for entry in front],
        "ordered_by": ranking.objectives[-1].name if ranking.objectives else "",
        "all": len(ranking.front),
    }
