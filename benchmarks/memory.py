"""How much memory a long search holds: 200 generations of 1,000 genomes of 200 bits.

python benchmarks/memory.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from shared.judging import Plan
from shared.landscapes import FloatArray, KeptAndLost, Landscape
from shared.meters import peak_megabytes, resident_megabytes
from shared.processes import alone, interleaved
from shared.pruning import Pruning
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread

GENES = 200
ENGINE, SEARCH, PYMOO = "emoprune, ask and tell", "emoprune, whole search", "pymoo, no duplicate check"


NOTES = """\
- The libraries that are imported are part of every figure; what a search adds is the difference to the first
  generation. Bytes kept per evaluation: the growth over the second half.
- Whole search: with history and checkpoints on the disk, tables, and the front at hand.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """Who searches, and how long."""

    searcher: str
    population: int
    generations: int


FULL = tuple(Cell(searcher, 1_000, 200) for searcher in (ENGINE, SEARCH, PYMOO))
QUICK = tuple(Cell(searcher, 20, 4) for searcher in (ENGINE, SEARCH, PYMOO))


class Scale:
    """Answers an engine and weighs this process each time it asks: once per generation."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self.megabytes: list[float] = []

    def begin(self) -> None:
        """Every generation counts."""

    def scores(self, genomes: ArrayLike) -> FloatArray:
        """Return the objectives."""
        self.megabytes.append(resident_megabytes())
        return self._landscape.scores(genomes)


def by_generation(cell: Cell) -> list[float]:
    """Search in this process; return its megabytes at every generation."""
    landscape = KeptAndLost(GENES)
    if cell.searcher == SEARCH:
        return whole_search(cell, landscape)
    scale = Scale(landscape)
    plan = Plan(landscape, cell.population, cell.population * (cell.generations - 1), seed=1)
    if cell.searcher == ENGINE:
        from engines import ours

        ours.run(plan, scale)
    else:
        from engines import pymoo_nsga2

        pymoo_nsga2.run(plan, scale, duplicates=True)
    return scale.megabytes


def whole_search(cell: Cell, landscape: Landscape) -> list[float]:
    """Search with history and checkpoints on the disk."""
    import emoprune

    settings = {"population": cell.population, "generations": cell.generations}
    config = {"search": settings, "evaluation": {"backend": "serial"}}
    with tempfile.TemporaryDirectory(prefix="emoprune-memory-") as runs:
        searching = emoprune.search(config, problem=Pruning(landscape), runs=Path(runs), name="long")
        return [resident_megabytes() for _ in searching]


def measured(cell: Cell) -> dict[str, float]:
    """Return megabytes at the first, the middle and the last generation, and the peak."""
    return alone(asdict(cell))


def measure(part: Mapping[str, Any]) -> None:
    """Search as one cell says and print its memory."""
    found = by_generation(Cell(**part))
    moments = {"first": found[0], "middle": found[len(found) // 2], "last": found[-1]}
    print(json.dumps({**moments, "peak": peak_megabytes()}))


def memory_table(found: Mapping[Cell, list[dict[str, float]]]) -> Table:
    """Return the memory of every searcher, and what each evaluation leaves behind."""
    rows = []
    for cell, rounds in found.items():
        later = cell.population * (cell.generations - cell.generations // 2 - 1)
        kept = [(each["last"] - each["middle"]) * 1e6 / later for each in rounds]
        moments = [str(Spread.of([each[name] for each in rounds])) for name in ("first", "middle", "last", "peak")]
        rows.append((cell.searcher, f"{cell.population * cell.generations:,}", *moments, f"{max(0.0, min(kept)):,.0f}"))
    columns = ("searcher", "evaluations", "first", "middle", "last", "peak", "bytes kept per evaluation")
    return Table("Resident megabytes at the first, middle and last generation, and the peak.", columns, rows)


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=1)
    parser.add_argument("--alone", metavar="JSON", help="measure one cell in this process")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    found = interleaved(QUICK if chosen.quick else FULL, 1 if chosen.quick else chosen.rounds, measured)
    publish(Report("Memory", [memory_table(found)], NOTES, ("emoprune", "numpy", "pymoo")), chosen)


if __name__ == "__main__":
    main()
