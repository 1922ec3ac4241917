"""Small tables that tests search, and functions that configs name as import targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import make_scorer

from emoprune.problems.tables.reading.frames import plain_columns
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.table import Table

Frame = tuple[dict[str, Any], Any]


def mixed(rows: int = 160, seed: int = 0) -> Frame:
    """Numbers with gaps, an ordinal column, categories with gaps, and two classes that depend on some of them."""
    rng = np.random.default_rng(seed)
    size, weight = rng.normal(size=rows), rng.lognormal(size=rows)
    grade = rng.integers(0, 6, rows).astype(float)
    city = rng.choice(np.array(["a", "b", "c (x)", "d+e"], dtype=object), rows)
    colour = rng.choice(np.array(["red", "blue"], dtype=object), rows)
    signal = size / weight + (city == "b") + 0.3 * grade
    target = np.where(signal + rng.normal(0, 0.3, rows) > np.median(signal), "yes", "no").astype(object)
    size[rng.random(rows) < 0.1] = np.nan
    city[rng.random(rows) < 0.1] = None
    noise = {f"noise{number}": rng.normal(size=rows) for number in range(2)}
    return {"size": size, "weight": weight, "grade": grade, "city": city, "colour": colour, **noise}, target


def numbers(rows: int = 150, seed: int = 0) -> Frame:
    """A regression on numbers alone, on the quotient of two of them."""
    rng = np.random.default_rng(seed)
    columns = {f"x{number}": rng.normal(size=rows) for number in range(5)}
    return columns, columns["x0"] / (2 + columns["x1"] ** 2) + 0.1 * rng.normal(size=rows)


def lazily(rows: int = 150) -> pl.LazyFrame:
    """The same as a lazy frame with the target `y`."""
    columns, target = numbers(rows)
    return pl.LazyFrame({**columns, "y": target})


def stream(rows: int = 2400, seed: int = 0) -> Frame:
    """Twenty columns; five lie in clusters that tell the class, and from the middle on five others do."""
    rng = np.random.default_rng(seed)
    inputs, target = rng.normal(size=(rows, 20)), np.empty(rows)
    for half, first in ((slice(0, rows // 2), 0), (slice(rows // 2, rows), 10)):
        cluster = rng.integers(0, 4, rows // 2)
        centres = rng.normal(0, 3, (4, 5))
        inputs[half, first : first + 5] = centres[cluster] + 0.2 * rng.normal(size=(rows // 2, 5))
        target[half] = cluster % 2
    return {f"c{number}": inputs[:, number] for number in range(20)}, target


def table(frame: Frame) -> Table:
    """Return the table of a frame and its target."""
    return table_of(plain_columns(frame[0]), plain(frame[1]), Wanted())


def _sure(target: Any, predicted: Any) -> float:
    return float(np.mean(np.where(target == 1, predicted, 1 - predicted) > 0.6))


error = make_scorer(_sure, response_method="predict_proba")  # bears the name of a metric that there is


def raising() -> Frame:
    """Fail as a user's function may."""
    raise RuntimeError("the database is down")
