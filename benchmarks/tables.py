"""What finding features and columns costs, beside openfe, GAFeatureSelectionCV and mlxtend's forward selection.

python benchmarks/tables.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from shared.meters import peak_megabytes, resident_megabytes
from shared.processes import alone, progress
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread, digits
from shared.table_peers import Subset, genetic, openfe, sequential
from shared.table_searches import Searched, searched
from shared.table_sets import table_named, wide

from emoprune.front import hypervolume, non_dominated
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.learners.lightgbm import BoostedTrees, TreeOptions
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.subsets.choosing import Choice
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.subsets.features import Features, FeatureSearch, FeaturesOptions
from emoprune.problems.tables.task import TableTask
from emoprune.records import Split

MADE = ("breast-cancer", "pima")
CHOICES: tuple[Choice, ...] = ("best", "sparse")
SUBSETS = {"breast-cancer": "breast-cancer", "ionosphere": "shared.table_sets:ionosphere"}
REFERENCES = ("openfe", "rfe", "forward-new")
FEATURES = 10

NOTES = """\
- CPU seconds of the process and those it started, because other work on the machine spoils the clock; one thread
  everywhere, every way in a process of its own, ratios of the same round. LightGBM has the same parameters everywhere.
- New features: 60 % of the rows to search on, 20 % to select on, 20 % to test on, cut anew in each round. openfe gets
  the first two parts together and gives its ten best features (with `feature_boosting`, as its paper recommends, and
  as its package has it by default); emoprune searches on the first ({evaluations} evaluations), and takes one of its
  two choices. Both are judged on the test rows by a model that learns on the other two parts. openfe's test features
  come from its transform, which sees train and test rows together.
- Subsets: the same rows and folds for all. GAFeatureSelectionCV with a population of {population} and {generations}
  generations, otherwise as it comes; mlxtend up to {most} columns. A front is what a way's own scores say; its
  hypervolume is that of the same subsets on the test rows, as a share of the box between 0 and (error 1, all columns).
  emoprune's references and races are part of its seconds.
- Memory: a table of 20,000 rows and 50 columns of numbers (8 MB); what a process holds at most beyond what it held
  with libraries loaded and the table read, once features were made, references found and {measured} subsets measured.
"""


def problem_of(name: str, seed: int) -> FeatureSearch:
    """Return a search on a classification task, cut by a seed."""
    options = FeaturesOptions(data=name, split_seed=seed, metric="error", references=REFERENCES)
    return FeatureSearch(table_named(name), options)


def judged(computed: Computed, block: Block, terms: Sequence[Term], task: TableTask) -> float:
    """Return the log loss and the error of a model that learns on the block's training rows."""
    model = BoostedTrees(TreeOptions()).fitted(computed, block, terms, 0)
    target = computed.table.target[block.scored]
    return task.measures.metric(target, model.predict(computed.matrix(terms, block, block.scored)))


def features_by(way: str, name: str, seed: int, generations: int) -> dict[str, dict[str, float]]:
    """Return the CPU seconds, test error and inputs of one way to new features; by its two choices for emoprune."""
    problem = problem_of(name, seed)
    task = problem.task
    if way.startswith("openfe"):
        seconds, data, block = openfe(task, FEATURES, boosting="boosting" in way)
        error = judged(Computed(data), block, data.terms, task)
        return {way: {"seconds": seconds, "error": error, "inputs": len(data.columns)}}
    if way == "all columns":
        return {way: _judged_on_known(task, task.table.terms, 0.0)}
    found = searched(problem, population=20, generations=generations, seed=seed)
    members = [*found.front(), *(reference.genome for reference in problem.references())]
    return {
        f"emoprune, {choice}": _judged_on_known(task, found.kept(found.best(members, choice)), found.clock[-1][1])
        for choice in CHOICES
    }


def _judged_on_known(task: TableTask, terms: Sequence[Term], seconds: float) -> dict[str, float]:
    """Return the test error of a model that learns on the rows to search and to select on."""
    parts = task.parts
    known = np.sort(np.concatenate([parts.search, parts.select.scored]))
    error = judged(Computed(task.table), Block("judged", known, parts.test.scored), terms, task)
    return {"seconds": seconds, "error": error, "inputs": len(terms)}


def subsets_by(way: str, name: str, plan: Mapping[str, int]) -> dict[str, Any]:
    """Return the CPU seconds and test hypervolume of one way to subsets; emoprune's after every generation."""
    problem = FeatureSubset(data=SUBSETS[name], metric="error")
    if way == "emoprune":
        found = searched(problem, population=plan["population"], generations=plan["ours"], seed=plan["seed"])
        volumes = [_volume(found, found.front(count)) for count, _ in found.clock]
        return {"seconds": [seconds for _, seconds in found.clock], "volumes": volumes, "looked": len(found.rows)}
    if way == "GAFeatureSelectionCV":
        seconds, subsets = genetic(problem.task, plan["population"], plan["generations"])
    else:
        seconds, subsets = sequential(problem.task, plan["most"])
    judge = searched(problem, population=4, generations=1, seed=0)
    rows = np.array([[1 - subset.score, len(subset.columns)] for subset in subsets])
    front = [subsets[place] for place in np.flatnonzero(non_dominated(rows))]
    volume = _volume(judge, [_genome(judge, subset) for subset in front])
    return {"seconds": [seconds], "volumes": [volume], "looked": len(subsets)}


def _genome(found: Searched, subset: Subset) -> np.ndarray:
    genome = np.zeros(len(found.problem.space), dtype=np.int64)
    genome[list(subset.columns)] = 1
    return genome


def _volume(found: Searched, front: Sequence[np.ndarray]) -> float:
    rows = np.array([found.measured(genome, Split.TEST) for genome in front])
    return hypervolume(rows / np.array([1.0, len(found.problem.task.table.columns)]), np.ones(2))


def memory_with(megabytes: int, measured: int) -> dict[str, float]:
    """Return the most megabytes held beyond the libraries and the table."""
    problem = Features(data="shared.table_sets:wide", references=REFERENCES[:2], cache_megabytes=megabytes)
    BoostedTrees(TreeOptions(trees=1)).fitted(
        Computed(problem.task.table), problem.task.parts.test, problem.task.table.terms[:2], 0
    )
    before = resident_megabytes()
    searched(problem, population=measured // 2, generations=2, seed=0)
    data = sum(column.nbytes for column in wide()[0].values()) / 1e6
    return {"megabytes": peak_megabytes() - before, "data": data}


def feature_table(names: Sequence[str], rounds: int, generations: int) -> Table:
    """Return seconds, test errors and inputs of the ways to new features."""
    rows = []
    for name in names:
        found: dict[str, list[dict[str, Any]]] = {}
        for seed in range(rounds):
            for way in ("all columns", "openfe", "openfe, boosting", "emoprune"):
                progress(f"{name}, round {seed + 1} of {rounds}: {way}")
                part = {"kind": "features", "way": way, "name": name, "seed": seed, "generations": generations}
                for own, measured in alone(part).items():
                    found.setdefault(own, []).append(measured)
        for way, measured_rounds in found.items():
            seconds = [each["seconds"] for each in measured_rounds]
            ratio = "-"
            if way.startswith("emoprune"):
                ratio = str(Spread.of_ratios(seconds, [each["seconds"] for each in found["openfe"]]))
            errors = [each["error"] for each in measured_rounds]
            spread = f"{np.mean(errors):.4f} ({min(errors):.4f}-{max(errors):.4f})"
            inputs = f"{np.mean([each['inputs'] for each in measured_rounds]):.1f}"
            rows.append((name, way, str(Spread.of(seconds)), ratio, spread, inputs))
    columns = ("set", "way", "CPU seconds", "times openfe", "test error, mean (range)", "inputs")
    return Table(f"New features, {rounds} rounds.", columns, rows)


def subset_table(names: Sequence[str], rounds: int, plan: Mapping[str, int]) -> Table:
    """Return seconds and hypervolumes of the ways to subsets, and when emoprune has what a peer ends with."""
    ways = ("emoprune", "GAFeatureSelectionCV", "mlxtend, forward")
    rows = []
    for name in names:
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for seed in range(rounds):
            for way in ways:
                progress(f"{name}, round {seed + 1} of {rounds}: {way}")
                found[way].append(alone({"kind": "subsets", "way": way, "name": name, "plan": {**plan, "seed": seed}}))
        for way in ways:
            seconds = [each["seconds"][-1] for each in found[way]]
            volumes = [each["volumes"][-1] for each in found[way]]
            looked = [float(each["looked"]) for each in found[way]]
            reached = [_share(ours, peer) for ours, peer in zip(found["emoprune"], found[way], strict=True)]
            there = [each for each in reached if each is not None]
            words = f"{Spread.of(there)} in {len(there)} of {len(reached)}" if there else "never"
            words = "-" if way == "emoprune" else words
            shown = Spread.of(volumes)
            volume = f"{shown.median:.4f} ({shown.low:.4f}-{shown.high:.4f})"
            rows.append((name, way, digits(float(np.median(looked))), str(Spread.of(seconds)), volume, words))
    columns = ("set", "way", "subsets", "CPU seconds", "test hypervolume", "emoprune there after, share of its seconds")
    return Table(f"Subsets of columns, {rounds} rounds.", columns, rows)


def _share(ours: Mapping[str, Any], peer: Mapping[str, Any]) -> float | None:
    """Return after what share of the peer's seconds ours has the hypervolume that the peer ends with."""
    there = np.flatnonzero(np.array(ours["volumes"]) >= peer["volumes"][-1])
    return float(ours["seconds"][there[0]] / peer["seconds"][-1]) if there.size else None


def memory_table(measured: int) -> Table:
    """Return what a worker holds, by how much of what it computes it may keep."""
    rows = []
    for megabytes in (4, 512):
        found = alone({"kind": "memory", "megabytes": megabytes, "measured": measured})
        rows.append((f"{megabytes}", digits(found["megabytes"]), digits(found["megabytes"] / found["data"])))
    return Table("Memory beyond libraries and table.", ("cache_megabytes", "megabytes", "times the data"), rows)


def main() -> None:
    """Measure, compare, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", metavar="JSON", help="one measurement, in this process")
    chosen = parser.parse_args()
    if chosen.alone:
        part = json.loads(chosen.alone)
        if part["kind"] == "features":
            print(json.dumps(features_by(part["way"], part["name"], part["seed"], part["generations"])))
        elif part["kind"] == "subsets":
            print(json.dumps(subsets_by(part["way"], part["name"], part["plan"])))
        else:
            print(json.dumps(memory_with(part["megabytes"], part["measured"])))
        return
    quick = chosen.quick
    rounds = 1 if quick else chosen.rounds
    plan = {"population": 6, "generations": 1, "ours": 2, "most": 2} if quick else PLAN
    generations, measured = (2, 4) if quick else (8, 40)
    tables = [
        feature_table(["wine"] if quick else MADE, rounds, generations),
        subset_table(["breast-cancer"] if quick else list(SUBSETS), rounds, plan),
        memory_table(measured),
    ]
    notes = NOTES.format(evaluations=20 * generations, measured=measured, **plan)
    packages = ("emoprune", "lightgbm", "openfe", "sklearn-genetic-opt", "mlxtend", "scikit-learn", "numpy")
    publish(Report("Speed of tables", tables, notes, packages), chosen)


PLAN = {"population": 20, "generations": 10, "ours": 10, "most": 10}


if __name__ == "__main__":
    main()
