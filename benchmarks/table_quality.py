"""What a search of columns and new features is worth on held-out rows, beside what is picked without one.

python benchmarks/table_quality.py [--quick] [--no-record] [--rounds SEEDS] [--sets NAME ...]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish
from shared.table_searches import Searched, searched
from shared.table_sets import KEEL, SETS, table_named

from emoprune.problems.tables.choosing import Choice
from emoprune.problems.tables.formulas.formula import Column, Formula
from emoprune.problems.tables.subsets.audits.folds_and_permutations import guessed
from emoprune.problems.tables.subsets.features import FeatureSearch, FeaturesOptions
from emoprune.problems.tables.table import Table as Data
from emoprune.problems.tables.table import Task
from emoprune.problems.tables.task import TableTask
from emoprune.records import Split

OURS = "emoprune"
SPARSE = "emoprune, sparse"
ALL = "all columns"
CONTROLS = 1  # shuffled targets for each set
PLANTED = (
    {Formula("divide", (Column("debt"), Column("income"))), Formula("divide", (Column("income"), Column("debt")))},
    {Formula("group-mean", (Column("city"), Column("income")))},
)

NOTES = """\
- A seed cuts the rows anew: 60 % to search on in 5 folds, 20 % to select on, 20 % to test on, which no choice sees.
  The learner is LightGBM with the defaults of `feature-subset`. Scores are of the rows to test on.
- Every method chooses among what it found as `EvolvedFeatures(choose="best")` does: of those within one spread of the
  best in the search the best on the rows to select on. `emoprune` chooses among its front and all references, after
  {evaluations} evaluations in
  {generations} generations; up to {considered} formulas were looked at.
- `sparse` takes the fewest columns of those within one spread of the best. Both `emoprune` and `sparse` fall back to
  all columns where the rows to select on speak for these (for `sparse`: by more than one spread).
- Differences are of losses (1 - AUC, error, root of the mean squared error), in percent of the loss with all columns,
  of the same rows; below zero is better. Intervals are 95 % bootstrap intervals of the mean over seeds, or over sets
  and seeds.
- Shuffled: the target is permuted once for each set and seed; whatever is gained then over a constant guess on the
  rows to test on would be a leak.
- Planted: the target of `planted` depends on debt / income and on the mean income by city. Found means that a member of
  the search's front has the feature among its inputs.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a method chose on one set with one seed: its loss and score on the test rows, and how many inputs it has."""

    loss: float
    score: float
    columns: int


def problem_of(data: Data, seed: int) -> FeatureSearch:
    """Return the search with the defaults of `features`, for two classes by their AUC."""
    metric = "roc_auc" if data.task is Task.BINARY else "auto"
    return FeatureSearch(data, FeaturesOptions(data="benchmark", split_seed=seed, metric=metric))


def outcomes(found: Searched) -> dict[str, Outcome]:
    """Return what each method and the search chose."""
    references = found.problem.references()
    families = {ALL: [references[0].genome]}
    for reference in references[1:]:
        families.setdefault(reference.name.rstrip("0123456789").rstrip("-"), []).append(reference.genome)
    families[OURS] = [*found.front(), *(reference.genome for reference in references)]
    chosen = {name: _outcome(found, genomes) for name, genomes in families.items()}
    return {**chosen, SPARSE: _outcome(found, families[OURS], "sparse")}


def _outcome(found: Searched, genomes: list[np.ndarray], choice: Choice = "best") -> Outcome:
    score, columns = found.measured(found.best(genomes, choice), Split.TEST)
    maximised = found.problem.task.measures.metric.maximised
    return Outcome(1 - score if maximised else score, score, int(columns))


def score_table(found: Mapping[str, Sequence[Mapping[str, Outcome]]]) -> Table:
    """Return test scores and inputs of all columns, OpenFE's answer and the search, set by set."""
    rows = []
    for name, seeds in found.items():
        cells = []
        for method in (ALL, "openfe", OURS, SPARSE):
            own = [each[method] for each in seeds if method in each]
            cells += [_mean([each.score for each in own]), f"{np.mean([each.columns for each in own]):.1f}"]
        rows.append((name, *cells))
    columns = ("set", *(cell for method in (ALL, "openfe", OURS, SPARSE) for cell in (method, "inputs")))
    return Table(
        "Test scores (AUC, error, or root of the mean squared error) and inputs, mean over seeds.", columns, rows
    )


def difference_table(found: Mapping[str, Sequence[Mapping[str, Outcome]]]) -> Table:
    """Return by how much each method's loss differs from that of all columns, over all sets and seeds."""
    names = dict.fromkeys(name for seeds in found.values() for each in seeds for name in each)
    rows = []
    for name in names:
        pairs = [(each[name], each[ALL]) for seeds in found.values() for each in seeds if name in each]
        changes = [100 * (own.loss / full.loss - 1) for own, full in pairs if full.loss > 0]
        wins = sum(own.loss < full.loss for own, full in pairs)
        ties = sum(own.loss == full.loss for own, full in pairs)
        share = np.mean([own.columns / full.columns for own, full in pairs])
        rows.append(
            (name, f"{len(pairs)}", _mean(changes), f"{np.median(changes):.1f}", f"{wins}", f"{ties}", f"{share:.2f}")
        )
    columns = ("method", "cases", "mean change of loss, %", "median, %", "better", "equal", "share of columns")
    return Table("Beside all columns, on the rows to test on.", columns, rows)


def _mean(values: Sequence[float]) -> str:
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2 or np.ptp(array) == 0:
        return f"{array.mean():.4g}"
    interval = bootstrap((array,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    return f"{array.mean():.4g} ({interval.low:.4g} to {interval.high:.4g})"


def control(name: str, seed: int, population: int, generations: int) -> float:
    """Return by how many percent the chosen subset's loss on test rows is below guessing, with a shuffled target."""
    data = table_named(name)
    shuffled = data.with_target(np.random.default_rng(1000 + seed).permutation(data.target))
    found = searched(problem_of(shuffled, seed), population=population, generations=generations, seed=seed)
    chosen = outcomes(found)[OURS]
    guess = _guess(found.problem.task)
    return 100 * (1 - chosen.loss / guess)


def _guess(task: TableTask) -> float:
    score = task.measures.metric(task.table.target[task.parts.test.scored], guessed(task.table, task.parts.test))
    return 1 - score if task.measures.metric.maximised else score


def planted_table(seeds: int, population: int, generations: int) -> Table:
    """Return how often the planted features are found, and what that is worth."""
    ratio = group = both = 0
    before, after = [], []
    for seed in range(seeds):
        progress(f"planted, seed {seed}")
        found = searched(
            problem_of(table_named("planted"), seed), population=population, generations=generations, seed=seed
        )
        kept = [set(found.kept(genome)) for genome in found.front()]
        has = [(bool(terms & PLANTED[0]), bool(terms & PLANTED[1])) for terms in kept]
        ratio += any(each[0] for each in has)
        group += any(each[1] for each in has)
        both += any(all(each) for each in has)
        made = outcomes(found)
        before.append(made[ALL].score)
        after.append(made[OURS].score)
    row = (f"{ratio} of {seeds}", f"{group} of {seeds}", f"{both} of {seeds}", _mean(before), _mean(after))
    columns = ("ratio found", "group mean found", "both in one member", "RMSE, all columns", "RMSE, emoprune")
    return Table("Planted features (noise alone gives an RMSE of 0.2).", columns, [row])


def main() -> None:
    """Search, compare, print and record."""
    parser = arguments(__doc__ or "", rounds=5)
    parser.add_argument("--sets", nargs="+", default=[*SETS, *KEEL], metavar="NAME", help="which tables")
    chosen = parser.parse_args()
    seeds, population, generations = (2, 12, 2) if chosen.quick else (chosen.rounds, 20, 8)
    names = ["wine", "diabetes"] if chosen.quick else chosen.sets
    found: dict[str, list[dict[str, Outcome]]] = {name: [] for name in names}
    for name in names:
        data = table_named(name)
        for seed in range(seeds):
            progress(f"{name}, seed {seed}")
            one = searched(problem_of(data, seed), population=population, generations=generations, seed=seed)
            found[name].append(outcomes(one))
    gains = {}
    for name in names:
        progress(f"{name}, shuffled")
        gains[name] = [control(name, seed, population, generations) for seed in range(CONTROLS)]
    rows = [(name, _mean(own)) for name, own in gains.items()]
    rows.append(("all", _mean([gain for own in gains.values() for gain in own])))
    caption = "Gain over a constant guess with a shuffled target, percent of the loss."
    tables = [
        score_table(found),
        difference_table(found),
        Table(caption, ("set", "gain, %"), rows),
        planted_table(1 if chosen.quick else seeds, population, generations),
    ]
    notes = NOTES.format(evaluations=population * generations, generations=generations, considered="8,000")
    publish(Report("Quality of tables", tables, notes, ("emoprune", "lightgbm", "scikit-learn", "numpy")), chosen)


if __name__ == "__main__":
    main()
