"""What feeding workers costs the driver, with a problem of 8 MB: emoprune's actors beside pymoo's RayParallelization.

python benchmarks/ray_driver.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from shared.landscapes import KeptAndLost
from shared.meters import Meter
from shared.processes import alone, interleaved
from shared.pruning import Pruning
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread

from emoprune.space import IntArray

GENES = 200
WEIGHT = 8_000_000  # bytes
WORKERS = 2
OURS, PYMOO = "emoprune", "pymoo RayParallelization"


NOTES = """\
- The fitness costs next to nothing, so what is seen is the way to the workers and back. Driver CPU is all of its
  process, Ray's threads included; the first generation is not counted.
- emoprune: from candidates to checked evaluations, with the default limits and retries.
- pymoo: problem.evaluate with RayParallelization as its elementwise runner, which sends the problem along with every
  genome.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """Who feeds the workers: generations of `population` genomes, in chunks of `chunk` or as many as it chooses."""

    driver: str
    population: int
    generations: int
    chunk: int | None = None


FULL = (Cell(OURS, 40, 25), Cell(OURS, 200, 10), Cell(OURS, 1_000, 5), Cell(OURS, 200, 2, chunk=1), Cell(PYMOO, 200, 1))
QUICK = (Cell(OURS, 16, 2), Cell(PYMOO, 8, 1))


def batches(cell: Cell) -> list[IntArray]:
    """Return one generation more than is timed: the first warms everything up."""
    rng = np.random.default_rng(5)
    return [rng.integers(0, 2, (cell.population, GENES)) for _ in range(cell.generations + 1)]


def ours(cell: Cell) -> Meter:
    """Evaluate through emoprune's actors, from candidates to evaluations."""
    from emoprune.config import EvaluationSettings
    from emoprune.evaluation.evaluator import Evaluator
    from emoprune.loop.build import build_backend
    from emoprune.records import Candidate, Split

    meter, problem = Meter(), Pruning(KeptAndLost(GENES), WEIGHT)
    settings = EvaluationSettings(address="local", workers=WORKERS, chunk=cell.chunk or "auto")
    backend = build_backend(settings)
    try:
        backend.open()
        backend.start(problem)
        evaluator = Evaluator(problem, 1, {})
        for turn, genomes in enumerate(batches(cell)):
            with meter if turn else Meter():
                candidates = [Candidate(row, genome, turn, "benchmark") for row, genome in enumerate(genomes)]
                _, tickets = evaluator.recalled_and_due(candidates, Split.SEARCH)
                pieces = backend.run(tickets, lambda: False)
                done = [evaluator.recorded(finished) for piece in pieces for finished in piece]
            _check(sum(evaluation.ok for evaluation in done), cell)
    finally:
        backend.close()
    return meter


def pymoos(cell: Cell) -> Meter:
    """Evaluate through pymoo's runner for Ray."""
    import logging

    import ray
    from pymoo.parallelization.ray import RayParallelization
    from shared.weighty import Weighty

    ray.init("local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    meter = Meter()
    try:
        problem = Weighty(KeptAndLost(GENES), WEIGHT, RayParallelization())
        for turn, genomes in enumerate(batches(cell)):
            with meter if turn else Meter():
                found = problem.evaluate(genomes)
            _check(len(found), cell)
    finally:
        ray.shutdown()
    return meter


def _check(evaluated: int, cell: Cell) -> None:
    if evaluated != cell.population:
        raise RuntimeError(f"{cell}: expected {cell.population} evaluations, found {evaluated}; see Ray's logs")


def measured(cell: Cell) -> dict[str, float]:
    """Return what one driver took per evaluation, in a process with a Ray of its own."""
    return alone(asdict(cell))


def measure(part: Mapping[str, Any]) -> None:
    """Drive as one cell says and print milliseconds per evaluation."""
    cell = Cell(**part)
    meter = (ours if cell.driver == OURS else pymoos)(cell)
    evaluations = cell.population * cell.generations
    print(json.dumps({"cpu": meter.cpu / evaluations * 1e3, "wall": meter.wall / evaluations * 1e3}))


def driver_table(found: Mapping[Cell, list[dict[str, float]]]) -> Table:
    """Return the driver's cost per evaluation."""
    rows = [
        (
            cell.driver,
            f"{cell.population:,}",
            f"{cell.population * cell.generations:,}",
            "1" if cell.driver == PYMOO else str(cell.chunk or "auto"),
            str(Spread.of([each["cpu"] for each in rounds])),
            str(Spread.of([each["wall"] for each in rounds])),
        )
        for cell, rounds in found.items()
    ]
    columns = ("driver", "population", "evaluations", "per task", "driver CPU, ms", "wall, ms")
    caption = f"Per evaluation of a problem of {WEIGHT / 1e6:g} MB on {WORKERS} workers: median (smallest-largest)."
    return Table(caption, columns, rows)


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", metavar="JSON", help="measure one cell in this process")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    found = interleaved(QUICK if chosen.quick else FULL, 1 if chosen.quick else chosen.rounds, measured)
    packages = ("emoprune", "ray", "pymoo")
    publish(Report("Driver cost with Ray", [driver_table(found)], NOTES, packages), chosen)


if __name__ == "__main__":
    main()
