"""How good the fronts are at equal evaluations: hypervolume of ours, pymoo's NSGA2, DEAP's and a random search.

python benchmarks/engine_quality.py [--quick] [--no-record] [--rounds SEEDS]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from engines import deap_nsga2, ours, pymoo_nsga2, random_search
from scipy.stats import mannwhitneyu, wilcoxon
from shared.judging import Judge, Plan, Witness
from shared.landscapes import FloatArray, KeptAndLost, Knapsack, Landscape
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish

from emoprune.space import IntArray, Space

GENES = 200
POPULATION = 100
BUDGETS = (5_000, 20_000)
QUICK_BUDGETS = (300, 600)
BITS, SIZES, OWN = "same fair bits", "same of all sizes", "own sampling"
SURE = 0.05


NOTES = """\
- Population 100; an evaluation is every genome asked about, the first generation and repeats included.
- The reference point is the worst possible value of each objective.
- same fair bits, and same of all sizes: for each seed all engines begin with the same genomes, drawn as pymoo's own
  sampling draws them, or by emoprune's.
- own sampling: emoprune begins with the unpruned genome, its neighbours and genomes of all sizes; pymoo and DEAP with
  fair bits; random is emoprune's algorithm of that name, which samples all sizes.
- random elsewhere: fair bits after fair bits.
- What own sampling adds is the first generation's doing: compare with the rows in which all engines begin alike.
- The tests are not corrected for how many there are.
"""


class Engine(Protocol):
    """A search from given genomes, or from what the engine itself begins with; returns the last population."""

    def __call__(self, plan: Plan, judge: Judge, start: IntArray | None) -> FloatArray:
        """Search as planned."""
        ...


def random_from_ours(plan: Plan, judge: Judge, start: IntArray | None) -> FloatArray:
    """Search at random: emoprune's own `random` with its sampling of all sizes, or fair bits after fair bits."""
    if start is None:
        return ours.run(plan, judge, algorithm="random")
    return random_search.run(plan, judge, start)


ENGINES: Mapping[str, Engine] = {
    "emoprune": ours.run,
    "pymoo": pymoo_nsga2.run,
    "DEAP": deap_nsga2.run,
    "random": random_from_ours,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a landscape, how the searches begin, and an engine."""

    landscape: Landscape
    start: str
    engine: str


@dataclass(frozen=True, slots=True)
class Volumes:
    """Hypervolumes per seed: of everything evaluated within each budget, shape (seeds, budgets), and at the end."""

    archive: FloatArray
    population: FloatArray


def measured(case: Case, seeds: int, budgets: Sequence[int]) -> Volumes:
    """Search once per seed."""
    progress(f"{case.landscape.name}: {case.engine} from {case.start}, {seeds} seeds")
    archive, population = [], []
    for seed in range(seeds):
        witness = Witness(case.landscape)
        plan = Plan(case.landscape, POPULATION, budgets[-1] - POPULATION, seed)
        last = ENGINES[case.engine](plan, witness, first_generation(case.start, plan))
        archive.append([witness.volume(budget) for budget in budgets])
        population.append(case.landscape.volume(last))
    return Volumes(np.array(archive), np.array(population))


def first_generation(start: str, plan: Plan) -> IntArray | None:
    """Return the genomes that all engines begin with for this seed; None lets each make its own."""
    rng = np.random.default_rng([plan.seed, 99])
    if start == BITS:
        return rng.integers(0, 2, (plan.population, plan.landscape.genes))
    if start == SIZES:
        space = Space.bits(plan.landscape.genes)
        return ours.default_operators().sampling(space, plan.population, rng)
    return None


def volume_table(found: Mapping[Case, Volumes], landscape: Landscape, budgets: Sequence[int], seeds: int) -> Table:
    """Return mean and standard deviation over the seeds."""
    rows = [
        (
            case.start,
            case.engine,
            *map(_mean, volumes.archive.T),
            _mean(volumes.population),
        )
        for case, volumes in found.items()
        if case.landscape is landscape
    ]
    last = f"last population, {budgets[-1]:,}"
    columns = ("first generation", "engine", *(f"evaluated, {budget:,}" for budget in budgets), last)
    caption = f"{landscape.name}: share of the whole box that is dominated, mean +- deviation over {seeds} seeds."
    return Table(caption, columns, rows)


def _mean(volumes: FloatArray) -> str:
    return f"{volumes.mean():.4f} +- {volumes.std(ddof=1):.4f}"


def verdict_table(found: Mapping[Case, Volumes], budgets: Sequence[int]) -> Table:
    """Return, in words, whether ours differs from each other engine."""
    rows = []
    for case, volumes in found.items():
        if case.engine == "emoprune":
            continue
        own = found[Case(case.landscape, case.start, "emoprune")]
        for place, budget in enumerate(budgets):
            words = verdict(own.archive[:, place], volumes.archive[:, place], paired=case.start != OWN)
            rows.append((case.landscape.name, case.start, case.engine, f"{budget:,}", words))
    columns = ("landscape", "first generation", "against", "evaluations", "emoprune is")
    return Table(f"Two-sided tests at {SURE}, on everything evaluated.", columns, rows)


def verdict(own: FloatArray, other: FloatArray, *, paired: bool) -> str:
    """Say who is better: by Wilcoxon's signed ranks where each seed began alike, else by Mann and Whitney's test."""
    chance = float((wilcoxon(own, other) if paired else mannwhitneyu(own, other)).pvalue)
    better = f"better in {int((own > other).sum())} of {len(own)} seeds, " if paired else ""
    if chance >= SURE:
        return f"{better}not distinguishable (p={chance:.2f})"
    return f"{better}{'better' if own.mean() > other.mean() else 'worse'} (p={chance:.1g})"


def main() -> None:
    """Search, compare, print and record."""
    chosen = arguments(__doc__ or "", rounds=10).parse_args()
    budgets = QUICK_BUDGETS if chosen.quick else BUDGETS
    seeds = 2 if chosen.quick else chosen.rounds
    landscapes: tuple[Landscape, ...] = (KeptAndLost(GENES), Knapsack(GENES))
    cases = [Case(*parts) for parts in product(landscapes, (BITS, SIZES, OWN), ENGINES)]
    found = {case: measured(case, seeds, budgets) for case in cases}
    tables = [volume_table(found, landscape, budgets, seeds) for landscape in landscapes]
    packages = ("emoprune", "numpy", "pymoo", "deap", "moocore")
    publish(Report("Quality at equal evaluations", [*tables, verdict_table(found, budgets)], NOTES, packages), chosen)


if __name__ == "__main__":
    main()
