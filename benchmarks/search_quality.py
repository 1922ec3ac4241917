"""How soon a search of channel widths is good: hypervolume on held-out images at equal evaluations, ours and peers'.

python benchmarks/search_quality.py [--quick] [--no-record] [--rounds SEEDS] [--network NAME] [--budget N]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
from engines.on_levels import SEARCHES
from scipy.stats import bootstrap
from shared.asking import Asked, BudgetSpent, Network
from shared.landscapes import FloatArray
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish

from emoprune.problems.networks.channels.problem import Channels

BUDGETS = (100, 200, 400, 1000)
QUICK_BUDGETS = (40, 80)
STEP = 20  # evaluations between two looks at a hypervolume
FEWER = "shared.fewer_images:fashion_1000"
DATA = {"digits": "digits"}  # every other built-in network reads Fashion-MNIST, with fewer images to score

NOTES = """\
- An evaluation is every genome asked about. The references are those by default, none of which has to be measured for.
- The front at a budget is chosen by the search split; its hypervolume is that of the test split, as a share of the box
  between 0 and (error 1, the unpruned network's multiply-accumulates).
- `surrogate` spends more time of its own on its models; seconds are not compared here.
- Population 40 everywhere. `sensitivity search` asks until its thresholds are used up, `references alone` once.
- Intervals are 95 % bootstrap intervals of the mean over the seeds; `sensitivity search` and `references alone` draw
  nothing, so all seeds give the same.
"""


def volumes(network: Network, name: str, seed: int, budget: int) -> FloatArray:
    """Return the hypervolume after every STEP evaluations up to the budget; a search that ends keeps what it has."""
    asked = Asked(network, budget)
    with suppress(BudgetSpent):
        SEARCHES[name](network, asked, seed)
    return np.array([asked.volume(evaluations) for evaluations in range(STEP, budget + 1, STEP)])


def volume_table(found: Mapping[str, FloatArray], budgets: Sequence[int], seeds: int) -> Table:
    """Return mean hypervolumes with their intervals; `found` holds shape (seeds, looks) by search."""
    rows = [(name, *(_mean(own[:, budget // STEP - 1]) for budget in budgets)) for name, own in found.items()]
    columns = ("search", *(f"{budget:,} evaluations" for budget in budgets))
    return Table(f"Hypervolume on the test split, mean of {seeds} seeds with its 95 % interval.", columns, rows)


def _mean(values: FloatArray) -> str:
    if len(values) < 2 or np.ptp(values) == 0:
        return f"{values.mean():.4f}"
    interval = bootstrap((values,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    return f"{values.mean():.4f} ({interval.low:.4f}-{interval.high:.4f})"


def catching_up(found: Mapping[str, FloatArray], budget: int, which: str) -> Table:
    """Return after how many evaluations `which` of ours has what each of the others ends with, seed by seed."""
    rows = []
    for name, own in found.items():
        if name == which:
            continue
        needed = [_first(ours, final) for ours, final in zip(found[which], own[:, -1], strict=True)]
        reached = sorted(each for each in needed if each is not None)
        words = f"{int(np.median(reached)):,} ({reached[0]:,}-{reached[-1]:,})" if reached else "never"
        share = f"{np.median(reached) / budget:.2f}" if reached else "-"
        rows.append((name, words, share, f"{len(reached)} of {len(needed)}"))
    columns = ("whose final hypervolume", "evaluations", f"share of {budget:,}", "seeds that reach it")
    caption = f"When `{which}` has what the others end with: median (range) over the seeds that reach it."
    return Table(caption, columns, rows)


def _first(ours: FloatArray, final: float) -> int | None:
    reached = np.flatnonzero(ours >= final)
    return int(reached[0] + 1) * STEP if reached.size else None


def main() -> None:
    """Search, compare, print and record."""
    parser = arguments(__doc__ or "", rounds=5)
    parser.add_argument("--network", default="digits", help="a built-in network")
    parser.add_argument("--budget", type=int, default=BUDGETS[-1], metavar="N", help="evaluations of a search (1,000)")
    chosen = parser.parse_args()
    budgets = QUICK_BUDGETS if chosen.quick else [each for each in BUDGETS if each <= chosen.budget]
    seeds = 2 if chosen.quick else chosen.rounds
    epochs = 3 if chosen.quick else None
    network = Network(Channels(network=chosen.network, data=DATA.get(chosen.network, FEWER), epochs=epochs))
    found = {}
    for name in SEARCHES:
        progress(f"{chosen.network}: {name}, {seeds} seeds")
        found[name] = np.stack([volumes(network, name, seed, budgets[-1]) for seed in range(seeds)])
    caught = [catching_up(found, budgets[-1], which) for which in ("emoprune", "emoprune, surrogate")]
    tables = [volume_table(found, budgets, seeds), *caught]
    packages = ("emoprune", "torch", "numpy", "pymoo", "optuna")
    publish(Report(f"Search quality on {chosen.network}", tables, NOTES, packages), chosen)


if __name__ == "__main__":
    main()
