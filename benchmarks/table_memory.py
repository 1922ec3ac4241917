"""A search on a table of a million rows and 100 columns that is read lazily: its memory, its seconds, what it finds.

python benchmarks/table_memory.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars
from scipy.stats import spearmanr
from shared.meters import peak_megabytes
from shared.processes import alone, interleaved
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread

from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.table import Table as Rows

LIMIT = 4 * 3600.0  # seconds
ALIKE = 0.99  # rank correlation from which on a column is a planted feature
COMPARED = 20_000  # rows on which this is asked
NUMBERS, CATEGORIES, WHOLE = 0.8, 0.1, 0.1  # shares of the columns
ROWS_OF_A_CITY = 200
SEARCH: dict[str, Any] = {
    "operators": ("divide", "group-mean"),
    "budget": 1500,
    "survivors": 10,
    "slots": 1,
    "others": 10,
    "folds": 1,
    "references": ("stable",),
    "learner": {"name": "lightgbm", "trees": 60},
    "population": 4,
    "generations": 1,
}
STAGES = ("reading", "search", "learning", "transform")


NOTES = """\
- A Parquet file of numbers (a tenth of them whole), texts that are categories, and gaps in 5 % of the cells. The target
  is log(debt / income) + 1.5 * the mean income of the city (200 rows each) + noise. `EvolvedFeatures` is given
  `polars.scan_parquet`, and the target as a lazy column; then all rows are transformed to an array.
- A short search on the drawn rows, for quotients and means of groups, with 60 trees, one fold, four subsets
  a generation and one generation: a longer one takes longer, and holds more only up to `cache_megabytes`, 512.
- Each in a process of its own, on one thread. Peaks: of the whole process with the libraries it imports, until rows
  were drawn and checked (reading), until `fit` ended, and until the output was there, which is part of it.
- Found: a new column whose rank correlation with what was planted is 0.99 or more.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """How large the table is, and at how many rows of it the search looks."""

    rows: int
    columns: int
    drawn: int


FULL = (Cell(1_000_000, 100, 20_000), Cell(1_000_000, 100, 100_000))  # the last as by default
QUICK = (Cell(4_000, 20, 2_000),)


def made(cell: Cell, folder: Path) -> None:
    """Write a table with two planted features, and these beside it."""
    rng = np.random.default_rng(0)
    cities = max(2, cell.rows // ROWS_OF_A_CITY)
    city = rng.permutation(np.arange(cell.rows) % cities)
    wealth = rng.uniform(0.5, 3.0, cities)
    income, debt = wealth[city] * rng.gamma(8.0, 1 / 8.0, cell.rows), rng.lognormal(0.0, 0.7, cell.rows)
    mean = (np.bincount(city, income) / np.bincount(city))[city]
    ratio = np.log(debt / income)
    columns: dict[str, Any] = {
        "income": income,
        "debt": debt,
        "city": "city " + polars.Series(city).cast(polars.String),
    }
    others = cell.columns - len(columns)
    for number in range(others):
        if number < WHOLE * others:
            column = polars.Series(rng.integers(0, 1_000, cell.rows))
        elif number < (WHOLE + CATEGORIES) * others:
            column = "group " + polars.Series(rng.integers(0, 50, cell.rows)).cast(polars.String)
        else:
            column = polars.Series(rng.normal(size=cell.rows))
        gaps = polars.Series(rng.random(cell.rows) < 0.05)
        columns[f"other {number}"] = column.to_frame("c").select(polars.when(~gaps).then(polars.col("c"))).to_series()
    target = ratio + 1.5 * mean + rng.normal(0, 0.2, cell.rows)
    polars.DataFrame({**columns, "target": target}).write_parquet(folder / "table.parquet", row_group_size=100_000)
    polars.DataFrame({"ratio": ratio, "mean": mean}).head(COMPARED).write_parquet(folder / "planted.parquet")


class Staged(EvolvedFeatures):
    """The transformer, which says when its search begins and ends."""

    def _searched(self, table: Rows) -> Any:
        self.began, self.peak_of_reading = time.perf_counter(), peak_megabytes()
        found = super()._searched(table)
        self.ended = time.perf_counter()
        return found


def searched(cell: Cell, folder: Path) -> dict[str, Any]:
    """Fit and transform; return seconds by stage, peaks and what was found."""
    frame = polars.scan_parquet(folder / "table.parquet")
    transformer = Staged(rows=cell.drawn, random_state=0, **SEARCH)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformer.fit(frame.drop("target"), frame.select("target"))
    fitted, peak_of_fit = time.perf_counter(), peak_megabytes()
    found = transformer.transform(frame.drop("target"))
    stages = (transformer.began - begun, transformer.ended - transformer.began, fitted - transformer.ended)
    seconds = dict(zip(STAGES, (*stages, time.perf_counter() - fitted), strict=True))
    peaks = {"reading": transformer.peak_of_reading, "fit": peak_of_fit, "transform": peak_megabytes()}
    planted = polars.read_parquet(folder / "planted.parquet")
    names = transformer.get_feature_names_out()
    like = {name: [names[place] for place in alike(found, planted[name].to_numpy())] for name in planted.columns}
    return {"seconds": seconds, "peaks": peaks, "output": found.nbytes / 1e6, "found": like}


def alike(found: Any, planted: Any) -> list[int]:
    """Return the places of columns that say the same as what was planted."""
    head = found[: len(planted)]
    places = []
    for place, column in enumerate(head.T):
        there = ~np.isnan(column)
        if there.sum() > len(column) / 2 and abs(spearmanr(column[there], planted[there]).statistic) >= ALIKE:
            places.append(place)
    return places


def measured(cell: Cell) -> dict[str, Any]:
    """Make the table in one process and search it in another one."""
    with tempfile.TemporaryDirectory(prefix="emoprune-table-") as folder:
        alone({"task": "make", "folder": folder, **asdict(cell)}, LIMIT)
        size = (Path(folder) / "table.parquet").stat().st_size / 1e6
        return {**alone({"task": "search", "folder": folder, **asdict(cell)}, LIMIT), "file": size}


def measure(part: dict[str, Any]) -> None:
    """Do one part in this process and print what it found."""
    task, folder = part.pop("task"), Path(part.pop("folder"))
    if task == "make":
        made(Cell(**part), folder)
        print(json.dumps({}))
    else:
        print(json.dumps(searched(Cell(**part), folder)))


def tables(found: Mapping[Cell, list[dict[str, Any]]]) -> list[Table]:
    """Return memory, seconds and what was found."""
    memory, seconds, planted = [], [], []
    for cell, rounds in found.items():
        size = f"{cell.rows:,} x {cell.columns}"
        peaks = [str(Spread.of([each["peaks"][name] for each in rounds])) for name in rounds[0]["peaks"]]
        memory.append((size, f"{cell.drawn:,}", f"{rounds[0]['file']:,.0f}", f"{rounds[0]['output']:,.0f}", *peaks))
        took = [str(Spread.of([each["seconds"][stage] for each in rounds])) for stage in STAGES]
        seconds.append((size, f"{cell.drawn:,}", *took))
        for name, label in (("ratio", "debt / income"), ("mean", "mean income of the city")):
            count = sum(bool(each["found"][name]) for each in rounds)
            shown = sorted({column for each in rounds for column in each["found"][name]})
            planted.append((label, ", ".join(shown) or "none", f"{count} of {len(rounds)}"))
    heads = ("table", "rows drawn")
    return [
        Table("Megabytes: file and output, and peak resident ones of the process.",
              (*heads, "file", "output", "peak, reading", "peak, fit", "peak, transform"), memory),
        Table("Seconds.", (*heads, *STAGES), seconds),
        Table("What was planted, and the columns that say the same.", ("planted", "columns", "found"), planted),
    ]  # fmt: skip


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=1)
    parser.add_argument("--alone", metavar="JSON", help="measure one part in this process")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    found = interleaved(QUICK if chosen.quick else FULL, 1 if chosen.quick else chosen.rounds, measured)
    packages = ("emoprune", "polars", "lightgbm", "numpy")
    publish(Report("A table of a million rows", tables(found), NOTES, packages), chosen)


if __name__ == "__main__":
    main()
