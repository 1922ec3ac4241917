"""Is a narrow network that was planted found: by each criterion, and by each algorithm at equal evaluations?

python benchmarks/planted.py [--quick] [--no-record] [--rounds SEEDS]
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared import planted
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish

import emoprune
from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.front import hypervolume
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.by_name import CHANNELS, criterion_named
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.evaluation.scoring import LoadedImages

WIDTHS, NOISES = (50, 100, 500), (0.0, 0.01, 0.1)
ALGORITHMS = ("nsga2", "surrogate", "evopress", "random")
POPULATION, GENERATIONS = 20, 10
POINT = np.array([1.0, 1.0])  # every image wrong, every multiplication kept

NOTES = """\
- Two hidden layers of `width` random units around a ticket of {ticket} units in each; what reads the ticket's units in
  the next layer reads the others with weights of that `noise`, in shares of a random layer's. Labels are the classes
  that the ticket alone gives, so at noise 0 the ticket is known to lose nothing.
- Recall: of the {ticket} units that each criterion ranks highest in each layer, how many are the ticket's; mean of
  {seeds} seeds. `oracle` is told, `random` finds {ticket} of `width` by chance.
- Hypervolume share: of error and multiply-accumulates on the search part, as a share of the same with the planted point
  (error 0, the ticket's multiply-accumulates) among them; noise 0.01, criterion `taylor`, {evaluations} evaluations.
"""


def evidence_of(width: int, noise: float, seed: int) -> Evidence:
    """Return a planted network with its training images."""
    network, own = planted.network(width, noise, seed).eval(), planted.data(seed)
    images = LoadedImages((torch.from_numpy(own.train.images),), torch.from_numpy(own.train.labels))
    return Evidence(network, trace(network, own.train.images.shape[1:]), images, seed)


def criteria() -> dict[str, Criterion]:
    """Return all installed criteria of channels."""
    found = {}
    for name in plugins.available("criterion"):
        try:
            found[name] = criterion_named(name, CHANNELS)
        except ConfigError:
            continue  # it ranks the parts of other problems
    return found


def recall(scores: Sequence[np.ndarray[Any, Any]], width: int, seed: int) -> float:
    """Return the share of the ticket's units among as many of the highest scores of each layer."""
    found = [
        np.isin(np.argsort(-own, kind="stable")[: planted.TICKET], units).mean()
        for own, units in zip(scores, planted.ticket_units(width, seed), strict=True)
    ]
    return float(np.mean(found))


def recalls(widths: Sequence[int], seeds: Sequence[int]) -> Table:
    """Return the recall of every criterion at every difficulty."""
    rows: dict[str, list[str]] = {"oracle": [], **{name: [] for name in criteria()}}
    for width in widths:
        for noise in NOISES:
            evidences = {seed: evidence_of(width, noise, seed) for seed in seeds}
            told = [
                recall([np.isin(np.arange(width), own) * 1.0 for own in planted.ticket_units(width, seed)], width, seed)
                for seed in seeds
            ]
            rows["oracle"].append(f"{np.mean(told):.0%}")
            for name, criterion in criteria().items():
                if name == "relu-optimal" and width > 100:
                    rows[name].append("-")  # an inverse for each of 500 units
                    continue
                found = [recall(criterion(own), width, seed) for seed, own in evidences.items()]
                rows[name].append(f"{np.mean(found):.0%}")
            progress(f"width {width}, noise {noise}")
    columns = ("criterion", *(f"{width}, noise {noise:g}" for width in widths for noise in NOISES))
    return Table(
        "Recall of the planted units, by width and noise.", columns, [(name, *own) for name, own in rows.items()]
    )


def share(algorithm: str, width: int, seed: int, folder: Path, generations: int) -> float:
    """Return what share of the hypervolume with the planted point a search reaches on the search part."""
    problem = Channels(
        network=f"shared.planted:network_{width}_{seed}",
        data=f"shared.planted:data_{seed}",
        criterion="taylor",
        widths=width,
        references=["uniform"],
        proxy="none",
    )
    config = {
        "search": {"algorithm": algorithm, "population": POPULATION, "generations": generations, "seed": seed},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, problem=problem, name=f"{algorithm}-{width}-{seed}", runs=folder)
    for _ in search:
        pass
    run = emoprune.open_run(folder / f"{algorithm}-{width}-{seed}")
    full = float(problem.describe(problem.space.full)["macs"])
    done = [[own.values["error"], own.values["macs"] / full] for own in run.evaluations() if own.values]
    values = np.array(done)
    ticket = problem._task.cost_model.macs(np.full((1, 2), planted.TICKET))[0] / full  # noqa: SLF001  # nobody else's to ask for
    return hypervolume(values, POINT) / hypervolume(np.vstack([values, [0.0, ticket]]), POINT)


def shares(widths: Sequence[int], seeds: Sequence[int], folder: Path, generations: int) -> Table:
    """Return the hypervolume shares of every algorithm."""
    rows = []
    for algorithm in ALGORITHMS:
        cells = []
        for width in widths:
            found = [share(algorithm, width, seed, folder, generations) for seed in seeds]
            cells.append(f"{np.mean(found):.3f} ({min(found):.3f}-{max(found):.3f})")
            progress(f"{algorithm}, width {width}: {cells[-1]}")
        rows.append((algorithm, *cells))
    return Table("Hypervolume share, by width.", ("algorithm", *(str(width) for width in widths)), rows)


def main() -> None:
    """Measure, print and record."""
    chosen = arguments(__doc__ or "", rounds=3).parse_args()
    torch.set_num_threads(1)
    seeds = range(1, 2 if chosen.quick else 1 + chosen.rounds)
    widths, generations = (WIDTHS[:1], 2) if chosen.quick else (WIDTHS, GENERATIONS)
    with tempfile.TemporaryDirectory(prefix="planted-") as place:
        tables = (recalls(widths, seeds), shares(widths[:2], seeds, Path(place), generations))
    notes = NOTES.format(ticket=planted.TICKET, seeds=len(seeds), evaluations=POPULATION * generations)
    publish(Report("Planted networks", tables, notes, ("emoprune", "torch", "numpy", "pymoo")), chosen)


if __name__ == "__main__":
    main()
