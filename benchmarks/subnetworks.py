"""Is it worth dividing a network? Hypervolume against evaluation cost: parts, the whole network, and pymoo's NSGA-II.

python benchmarks/subnetworks.py [--quick] [--no-record] [--rounds SEEDS] [--network NAME] [--genes units]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from engines import pymoo_on_units
from scipy.stats import bootstrap
from shared.divided import Answers, Judge, Plan, Trace, divided_trace, run_name
from shared.landscapes import FloatArray
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish

import emoprune
from emoprune.commands.recovery import recover

POPULATION = 40
GENERATIONS = 15
SHARES = (0.1, 0.2, 1 / 3, 0.5, 1.0)
DATA = {"digits": "digits"}  # every other built-in network reads Fashion-MNIST
METHODS = {
    "constrained, together": ("method=constrained", "order=together"),
    "constrained, in turn": ("method=constrained", "order=forward"),
    "finetune": ("method=finetune",),
    "distil": ("method=distil",),
}

NOTES = """\
- Cost is in shares of what the whole-network search (`parts: 1`) spent of it: multiply-accumulates of all images that
  were put through networks, and seconds of evaluation. Of a part: its search images pass through the part and what
  follows it, its calibration images through the part; measuring the parts' fronts again on `select` is counted.
  Multiply-accumulates count every image from a part's, or a network's, first layer on; seconds are of what was really
  computed, where neighbours share their first layers in all searches but pymoo's.
- A seed is that of the network's training, too: each has a network of its own, which all searches with it prune.
- The front at a budget is chosen by the search split; its hypervolume is that of the test split, as a share of the box
  between 0 and (error 1, the unpruned network's multiply-accumulates), all batch norms estimated anew.
- Until the first whole networks are measured only ones with a single pruned part are known, by the parts' errors; that
  is why early volumes are small.
- Parts are measured on some of the search images (`--part-images`, 250 of 1,000), and the batch norms behind them keep
  the unpruned network's statistics; everywhere else they are estimated anew. `then every gene`: channels that cross a
  cut stay whole while parts are searched; the search over all widths of the network then begins with the schemes along
  the impairment ranking, and with networks that are as narrow everywhere, with which the whole-network search begins,
  too. `then members` (`--members`): it chooses among the members of the parts' fronts, as the paper has it, and
  channels that cross a cut are searched as parts of their own.
- Candidates to recover (`--epochs`) are of `then every gene`, seed 1.
- No search gets references: what a user would pick without one is left out everywhere.
"""


def plans(chosen: argparse.Namespace, parts: int) -> dict[str, Plan]:
    """Return the searches part by part by name; `parts: 1` is the search of the whole network."""
    population, generations, images = (8, 2, 20) if chosen.quick else (POPULATION, GENERATIONS, chosen.part_images)
    small, few = (4, 2) if chosen.quick else (chosen.part_population, chosen.part_generations)
    last = max(1, generations - 2)  # so that it all costs about as much as the search of the whole network
    whole = Plan(
        parts=1,
        crossing="whole",
        rest="adapted",
        part_population=population,
        part_generations=generations,
        population=population,
        generations=1,
    )
    every = Plan(
        parts=parts,
        crossing="whole",
        rest="frozen",
        part_population=small,
        part_generations=few,
        population=population,
        generations=last,
        joint="genes",
        part_images=images,
    )
    members = {f"parts: {parts}, then members": replace(every, crossing="searched", joint="members")}
    found = {"parts: 1": whole, f"parts: {parts}, then every gene": every}
    return found | (members if chosen.members or chosen.quick else {})


def cost_table(
    found: Mapping[str, Sequence[Trace]],
    judges: Sequence[Judge],
    of: Callable[[Trace], FloatArray],
    name: str,
) -> Table:
    """Return mean hypervolumes with intervals at shares of what the whole-network search spent of a cost."""
    rows = []
    for search, traces in found.items():
        cells = []
        for share in SHARES:
            budgets = [share * of(whole)[-1] for whole in found["parts: 1"]]
            volumes = [
                own.volume(judge, of(own) <= budget) for own, judge, budget in zip(traces, judges, budgets, strict=True)
            ]
            cells.append(_mean(np.array(volumes)))
        spent = np.mean([of(own)[-1] / of(whole)[-1] for own, whole in zip(traces, found["parts: 1"], strict=True)])
        rows.append((search, *cells, f"{spent:.2f}"))
    columns = (name, *(f"{share:.0%}" for share in SHARES), "spent in all")
    return Table(f"Hypervolume on the test split against {name}, mean of {len(traces)} seeds.", columns, rows)


def reaching_table(found: Mapping[str, Sequence[Trace]], judges: Sequence[Judge]) -> Table:
    """Return at which share of its cost each search has what the whole-network search ends with, seed by seed."""
    rows = []
    for search, traces in found.items():
        shares = []
        for own, whole, judge in zip(traces, found["parts: 1"], judges, strict=True):
            final = whole.volume(judge, np.ones(len(whole.values), dtype=np.bool_))
            marks = np.linspace(0.05, 2.0, 40) * whole.spent[-1]
            reached = [mark for mark in marks if own.volume(judge, own.spent <= mark) >= final - 1e-12]
            shares.append(reached[0] / whole.spent[-1] if reached else None)
        there = sorted(share for share in shares if share is not None)
        words = f"{np.median(there):.2f} ({there[0]:.2f}-{there[-1]:.2f})" if there else "never"
        rows.append((search, words, f"{len(there)} of {len(shares)}"))
    columns = ("search", "share of the cost: median (range) of the seeds that get there", "seeds that get there")
    return Table("When each has the final hypervolume of the whole-network search.", columns, rows)


def _mean(values: FloatArray) -> str:
    if len(values) < 2 or np.ptp(values) == 0:
        return f"{values.mean():.4f}"
    interval = bootstrap((values,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    return f"{values.mean():.4f} ({interval.low:.4f}-{interval.high:.4f})"


def recovery_table(runs: Path, name: str, epochs: float) -> Table:
    """Return the errors on test of three candidates along the front after each way to train them, at equal epochs."""
    run = emoprune.open_run(runs / name)
    front = run.pareto[run.pareto["rank"] == 1].sort_values("obj.macs")
    chosen = front.iloc[[len(front) // 4, len(front) // 2, 3 * len(front) // 4]]
    rows = []
    for candidate, macs, before in zip(chosen["candidate_id"], chosen["obj.macs"], chosen["test.error"], strict=True):
        cells = []
        for method in METHODS.values():
            options = [f"epochs={epochs}", *method]
            cells.append(f"{recover(run, str(candidate), options=options)['after']['test']['error']:.4f}")
        rows.append((f"{macs:,.0f}", f"{before:.4f}", *cells))
    columns = ("macs", "error on test before", *METHODS)
    return Table(f"After {epochs:g} epochs of each way to win back what pruning cost.", columns, rows)


def main() -> None:
    """Search, compare, print and record."""
    parser = arguments(__doc__ or "", rounds=5)
    parser.add_argument("--network", default="fashion-vgg", help="a built-in network")
    parser.add_argument("--genes", default="levels", choices=("levels", "units"), help="widths, or a bit per filter")
    parser.add_argument("--parts", type=int, default=3, help="how many parts")
    parser.add_argument("--part-population", type=int, default=8, help="of each part")
    parser.add_argument("--part-generations", type=int, default=2, help="of each part")
    parser.add_argument("--part-images", type=int, default=250, help="search images that parts are measured on")
    parser.add_argument("--members", action="store_true", help="also search the choice among members of the parts")
    parser.add_argument("--epochs", type=float, default=1.0, help="of training candidates of the front; 0 for none")
    chosen = parser.parse_args()
    name = "digits" if chosen.quick else chosen.network
    about = (name, DATA.get(name, "shared.fewer_images:fashion_1000"), 64 if chosen.quick else 256, chosen.genes)
    parts, seeds = (2, 1) if chosen.quick else (chosen.parts, chosen.rounds)
    judges = [Judge(*about, seed, remembers=True) for seed in range(1, seeds + 1)]
    wanted = plans(chosen, parts)
    whole, divided = list(wanted.values())[:2]
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, list[Trace]] = {each: [] for each in (*wanted, "pymoo NSGA2")}
        for judge in judges:
            progress(f"{name}, {chosen.genes}: seed {judge.seed} of {seeds}")
            for each, plan in wanted.items():
                found[each].append(divided_trace(judge, plan, Path(folder)))
            alone, answers = Judge(*about, judge.seed, remembers=False), Answers()
            asked = (judge.seed, whole.population, whole.population * whole.part_generations, answers)
            found["pymoo NSGA2"].append(Trace.timed(alone, pymoo_on_units.batches(alone, *asked), answers))
        tables = [
            cost_table(found, judges, lambda trace: trace.spent, "multiply-accumulates"),
            cost_table(found, judges, lambda trace: trace.seconds, "seconds"),
            reaching_table(found, judges),
        ]
        if chosen.epochs > 0:
            epochs = 0.2 if chosen.quick else chosen.epochs
            tables.append(recovery_table(Path(folder), run_name(divided, 1), epochs))
    publish(
        Report(f"Dividing {name}, genes of {chosen.genes}", tables, NOTES, ("emoprune", "torch", "numpy", "pymoo")),
        chosen,
    )


if __name__ == "__main__":
    main()
