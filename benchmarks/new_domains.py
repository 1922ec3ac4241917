"""What a search is worth on held-out data beside the paper's own pruning and random pruning, in domain after domain.

python benchmarks/new_domains.py [--quick] [--no-record] [--rounds SEEDS] [--domains NAME ...]
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread

import emoprune

QUICK = {"population": 8, "generations": 2}
NOTES = """\
- A seed draws the search and, where there is one, the cut of the rows or the reservoir. For each pruning that a paper
  or chance picks, the search's candidate is the one of the least loss on the rows to select on, of those of its front
  that cost no more; both are then held against each other on the rows to test on, which chose nothing. Loss is the mean
  over these prunings; figures are the median over the seeds with the smallest and the largest.
- Won: in how many pairs the search's candidate loses less on test, of those that are not the same candidate.
- `rules`: 1 - inverse Brier score against literals; the paper is CON-FOLD's prunings. `reservoir`: squared error in
  variances against edges; noise pruning, and beside it activity and time constants. `gaussians`: squared error of
  colours against tile work; computational efficiency, and beside it opacity and light per tile. `samples`: error
  against rows; random rows with half of the teacher, and beside them the hardest rows. `streams`: log loss against
  columns; columns chosen anew at drift, and chosen once.
"""


@dataclass(frozen=True, slots=True)
class Domain:
    """What is searched: options of the problem, its loss and cost, and which references are whose."""

    problem: Mapping[str, Any]
    loss: str
    cost: str
    rivals: Mapping[str, tuple[str, ...]]  # by what they are called, the beginnings of their references' names
    seeded: str = ""  # the option that another seed draws otherwise
    maximised: bool = False
    quick: Mapping[str, Any] = field(default_factory=dict)
    population: int = 24
    generations: int = 12


DOMAINS: Mapping[str, Domain] = {
    "rules": Domain(
        {"name": "rules", "data": "breast-cancer"},
        "inverse-brier",
        "literals",
        {"paper": ("confold", "improvement", "confidence"), "random": ("random-",)},
        "split_seed",
        maximised=True,
        quick={"data": "iris"},
    ),
    "reservoir": Domain(
        {"name": "reservoir", "length": 1600, "neurons": 80},
        "nmse",
        "edges",
        {"paper": ("noise-",), "random": ("random-",), "activity": ("activity-",), "time constants": ("slowness-",)},
        "reservoir_seed",
        quick={"length": 500, "neurons": 20, "connectivity": 0.3, "washout": 40},
    ),
    "gaussians": Domain(
        {"name": "gaussians", "data": "flower", "size": 48, "gaussians": 160, "steps": 120},
        "mse",
        "tile-work",
        {
            "paper": ("computational-efficiency-",),
            "random": ("random-",),
            "opacity": ("opacity-",),
            "light per tile": ("light-per-tile-",),
        },
        quick={"data": "rings", "size": 24, "gaussians": 40, "steps": 10},
    ),
    "samples": Domain(
        {"name": "samples", "data": "digits"},
        "error",
        "rows",
        {"paper": ("random-teacher-",), "random": ("random-5", "random-1", "random-2"), "hardest": ("hardest-",)},
        "split_seed",
        quick={"data": "wine"},
    ),
    "streams": Domain(
        {
            "name": "tabular-stream",
            "data": "shared.drifting:drifting",
            "window": 150,
            "learner": "logistic",
            "costs": ["columns"],
        },
        "log_loss",
        "columns",
        {"paper": ("drift-",), "once": ("once-",)},
        quick={"window": 60},
        population=16,
        generations=6,
    ),
}


def searched(domain: Domain, seed: int, *, quick: bool) -> pd.DataFrame:
    """Return the table of a finished search."""
    problem = {**domain.problem, **(domain.quick if quick else {})}
    problem |= {domain.seeded: seed} if domain.seeded else {}
    size = QUICK if quick else {"population": domain.population, "generations": domain.generations}
    config = {"problem": problem, "search": {**size, "seed": seed}, "evaluation": {"backend": "serial"}}
    with tempfile.TemporaryDirectory() as folder:
        search = emoprune.search(config, runs=folder, name="run")
        for _ in search:
            pass
        return search.run.pareto


def pairs(domain: Domain, frame: pd.DataFrame, names: tuple[str, ...]) -> list[tuple[float, float, bool]]:
    """Return the losses on test of each rival and of the search at no more cost, and whether they are one candidate."""
    sign = -1.0 if domain.maximised else 1.0
    front = frame[(frame["rank"] == 1) & frame[f"test.{domain.loss}"].notna()]
    found = []
    for _, rival in frame[frame["name"].str.startswith(names)].iterrows():
        affordable = front[front[f"select.{domain.cost}"] <= rival[f"select.{domain.cost}"]]
        if affordable.empty:
            continue
        own = affordable.loc[(sign * affordable[f"select.{domain.loss}"]).idxmin()]
        losses = [float(each[f"test.{domain.loss}"]) for each in (rival, own)]
        rival_loss, own_loss = (1 - loss if domain.maximised else loss for loss in losses)
        found.append((rival_loss, own_loss, bool(own["candidate_id"] == rival["candidate_id"])))
    return found


def rows_of(name: str, seeds: int, *, quick: bool) -> list[Sequence[str]]:
    """Return a row of the table for each rival of a domain."""
    domain = DOMAINS[name]
    frames = [searched(domain, seed, quick=quick) for seed in range(seeds)]
    rows: list[Sequence[str]] = []
    for rival, names in domain.rivals.items():
        by_seed = [own for own in (pairs(domain, frame, names) for frame in frames) if own]
        others = [each for own in by_seed for each in own if not each[2]]
        if not by_seed:
            continue
        theirs, ours = (Spread.of([float(np.mean([each[side] for each in own])) for own in by_seed]) for side in (0, 1))
        won = f"{sum(ours < theirs for theirs, ours, _ in others)} of {len(others)}"
        rows.append([name, domain.loss, rival, str(theirs), str(ours), won])
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = arguments(__doc__ or "", 5)
    parser.add_argument("--domains", nargs="+", choices=list(DOMAINS), default=list(DOMAINS), metavar="NAME")
    chosen = parser.parse_args()
    seeds = 1 if chosen.quick else chosen.rounds
    rows = [row for name in chosen.domains for row in rows_of(name, seeds, quick=chosen.quick)]
    columns = ("domain", "loss", "beside", "its loss on test", "the search's, at no more cost", "won")
    table = Table(f"Loss on test of what is pruned, {seeds} seeds.", columns, rows)
    publish(Report("New domains", [table], NOTES, ["emoprune", "numpy", "scikit-learn", "torch"]), chosen)


if __name__ == "__main__":
    main()
