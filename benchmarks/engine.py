"""What the engine costs per evaluation: CPU time of selection, variation and survival, without the fitness.

python benchmarks/engine.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from shared.judging import Judge, Plan, Stopwatch
from shared.landscapes import KeptAndLost
from shared.processes import alone, interleaved
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread

GENES = 200
OURS = "emoprune"
ENGINES = (OURS, "pymoo", "pymoo, no duplicate check", "DEAP", "Optuna")


NOTES = """\
- Every engine in a process of its own with one thread; the rounds are interleaved, ratios are of equal rounds.
- The first generation is not timed.
- emoprune: default operators. pymoo: UX 0.9, bit-flip 1/n, otherwise as it comes. DEAP: selTournamentDCD, cxUniform
  at 0.9, mutFlipBit 1/n, selNSGA2 with nd="log".
- Optuna: NSGAIISampler in memory with an integer parameter per bit, timed over few trials because they are slow; not at
  a population of 10,000, where the first generation alone is 10,000 trials.
- emoprune leaves out every genome that was ever asked for, pymoo those of the current population, the others none.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """One engine at one size: how many evaluations are timed, after a first generation that is not."""

    engine: str
    population: int
    evaluations: int


def search(engine: str, plan: Plan, judge: Judge) -> None:
    """Let one engine search; only that one is imported."""
    match engine:
        case "emoprune":
            from engines import ours

            ours.run(plan, judge)
        case "pymoo" | "pymoo, no duplicate check":
            from engines import pymoo_nsga2

            pymoo_nsga2.run(plan, judge, duplicates=engine != "pymoo")
        case "DEAP":
            from engines import deap_nsga2

            deap_nsga2.run(plan, judge)
        case "Optuna":
            from engines import optuna_nsga2

            optuna_nsga2.run(plan, judge)


# Equal generations for all, but fewer for whoever would take minutes: pymoo at 10,000, and Optuna.
FULL = [Cell(name, population, 20_000) for population in (100, 1_000) for name in ENGINES[:4]]
FULL += [Cell(name, 10_000, 30_000 if name == "pymoo" else 100_000) for name in ENGINES[:4]]
FULL += [Cell("Optuna", 100, 300), Cell("Optuna", 1_000, 300)]
QUICK = [*(Cell(name, 20, 60) for name in ENGINES), Cell(OURS, 40, 80), Cell("pymoo", 40, 80)]


def measured(cell: Cell) -> dict[str, float]:
    """Return the CPU time per evaluation, in a process that does nothing else."""
    return alone(asdict(cell))


def measure(part: Mapping[str, Any]) -> None:
    """Run one cell in this process and print what it took."""
    cell = Cell(**part)
    landscape = KeptAndLost(GENES)
    stopwatch = Stopwatch(landscape)
    search(cell.engine, Plan(landscape, cell.population, cell.evaluations, seed=1), stopwatch)
    print(json.dumps({"microseconds": stopwatch.microseconds, "evaluations": stopwatch.evaluations}))


def cost_table(found: Mapping[Cell, list[dict[str, float]]]) -> Table:
    """Return the cost of every engine at every population, and the ratio to ours in the same rounds."""
    costs = {cell: [each["microseconds"] for each in rounds] for cell, rounds in found.items()}
    own = {cell.population: values for cell, values in costs.items() if cell.engine == OURS}
    rows = [
        (
            f"{cell.population:,}",
            cell.engine,
            f"{found[cell][0]['evaluations']:,}",
            str(Spread.of(values)),
            str(Spread.of_ratios(values, own[cell.population])),
        )
        for cell, values in sorted(costs.items(), key=lambda item: item[0].population)
    ]
    caption = f"{GENES} bits, two objectives; CPU microseconds per evaluation, median (smallest-largest)."
    return Table(caption, ("population", "engine", "evaluations", "us per evaluation", "times emoprune"), rows)


def growth_table(found: Mapping[Cell, list[dict[str, float]]]) -> Table:
    """Return how the cost per evaluation changes from each population to the next larger one."""
    rows = []
    for engine in ENGINES:
        costs = [
            (cell.population, [each["microseconds"] for each in rounds])
            for cell, rounds in found.items()
            if cell.engine == engine
        ]
        for (small, before), (large, after) in pairwise(costs):
            rows.append((engine, f"{small:,} to {large:,}", str(Spread.of_ratios(after, before))))
    return Table("Growth of the cost per evaluation with the population.", ("engine", "population", "times"), rows)


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", metavar="JSON", help="measure one cell in this process")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    found = interleaved(QUICK if chosen.quick else FULL, 1 if chosen.quick else chosen.rounds, measured)
    packages = ("emoprune", "numpy", "pymoo", "deap", "optuna")
    publish(Report("Engine cost per evaluation", (cost_table(found), growth_table(found)), NOTES, packages), chosen)


if __name__ == "__main__":
    main()
