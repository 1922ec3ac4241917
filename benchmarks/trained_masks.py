"""When to search and when to train: error at equal sizes, raw and after the same counted training compute.

python benchmarks/trained_masks.py [--quick] [--no-record] [--rounds SEEDS] [--case NAME] [--epochs E]

`minilm` reads sentences from the folder that the environment variable EMOPRUNE_DATA names.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish

import emoprune
from emoprune.commands.reopen import chosen
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios
from emoprune.records import Split
from emoprune.run import Run
from emoprune.space import IntArray

TARGETS = (20, 10, 5)  # percent of the weights of all layers that can be pruned
SEARCHED = "searched"
COUNTED = ("erk", "global-magnitude")
LEARNT = ("pdp", "transport", "hard-concrete", "colt")
# Ways of training what the search found, besides fine-tuning, which everything gets.
WAYS: Mapping[str, Any] = {
    "rewind-rate": "rewind-rate",
    "rewind-weights": "rewind-weights",
    "soft-mask, pdp": {"name": "soft-mask", "mask": "pdp"},
    "soft-mask, transport": {"name": "soft-mask", "mask": "transport"},
    "soft-mask, hard-concrete": {"name": "soft-mask", "mask": "hard-concrete"},
}

NOTES = """\
- `{evaluations}` evaluations of NSGA-II per seed, in which nothing is trained. Of what it found the network with the
  least error on search that has no more parameters than `erk` at the target is taken; all figures are of the test part.
- Everything is trained for {epochs:g} epochs in all, {macs:.3g} multiply-accumulates forwards and twice as many
  backwards. References that learn their ratios spend half of that on learning each target's (`colt` on as many rounds
  as it takes: see the column), and half on fine-tuning; the others all of it on fine-tuning.
- Training is from the unpruned network, which is trained already. `raw`: not trained after pruning.
- `-`, or fewer seeds: the ratios were those of a row above, and are not shown again.
- Mean over {seeds} seeds with the smallest and the largest error.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A problem on single weights, how long its networks are trained, and with which rate."""

    problem: Callable[[Sequence[Any]], Any]
    learnt: Sequence[str]
    error: str = "error"
    options: Mapping[str, Any] | None = None


def digits(references: Sequence[Any]) -> WeightRatios:
    """Return the digits network's problem."""
    return WeightRatios(references=references)


def fashion_vgg(references: Sequence[Any]) -> WeightRatios:
    """Return the problem of the VGG network on a small part of Fashion-MNIST."""
    return WeightRatios(network="fashion-vgg", data="shared.fewer_images:fashion_1000", epochs=3, references=references)


def minilm(references: Sequence[Any]) -> TransformerWeightRatios:
    """Return the problem of the MiniLM encoder on sentences of the sst-2 set."""
    folder = Path(os.environ["EMOPRUNE_DATA"]) / "prompts" / "sst-2"
    parts = {"train": "train_16shot_seed0.tsv", "search": "dev.tsv", "select": "train_16shot_seed1.tsv"}
    data = {**{part: str(folder / name) for part, name in parts.items()}, "test": str(folder / "test.tsv")}
    return TransformerWeightRatios(
        model="minilm",
        task="text-classification",
        data=data,
        length=32,
        objectives=["error", "parameters"],
        references=references,
    )


CASES = {
    "digits": Case(digits, LEARNT, options={"formats": ["safetensors"]}),
    "fashion-vgg": Case(fashion_vgg, LEARNT, options={"formats": ["safetensors"]}),
    "minilm": Case(minilm, (), options={}),
}


@dataclass(slots=True)
class Measured:
    """Errors on test by row and target, one for each seed, and the multiply-accumulates that training took."""

    errors: dict[tuple[str, int], list[float]]
    macs: dict[str, list[float]]


def search(case: Case, epochs: float, seed: int, generations: int, folder: Path) -> tuple[Any, Run]:
    """Return a problem that was searched, ready to recover, and its run."""
    own = {"percentages": list(TARGETS)}
    learnt = [
        {"name": name, **own, "epochs": epochs / 2 if name != "colt" else max(1.0, epochs / 8)} for name in case.learnt
    ]
    problem = case.problem([*({"name": name, **own} for name in COUNTED), *learnt])
    config = {
        "search": {"population": 20, "generations": generations, "seed": seed},
        "evaluation": {"backend": "serial"},
    }
    searched = emoprune.search(config, problem=problem, runs=folder, name=f"seed-{seed}")
    for _ in searched:
        pass
    problem.setup("cpu", 1)
    return problem, searched.run


def best_within(run: Run, target: int) -> IntArray | None:
    """Return the searched genome with the least error that is no larger than `erk` at the target; None if none is."""
    limit = chosen(run, f"erk-{target}").values["parameters"]
    own = [each for each in run.all_evaluations() if each.values and each.candidate.id not in run.references]
    within = [each for each in own if each.values["parameters"] <= limit]
    return min(within, key=lambda each: each.values["error"]).candidate.genome if within else None


def rows_of(run: Run, case: Case, target: int, epochs: float) -> Iterator[tuple[str, IntArray, Any, float]]:
    """Return what is trained at a target: the row's name, the genome, the method, and its epochs."""
    searched = best_within(run, target)
    if searched is not None:
        for name, method in {"finetune": "finetune", **WAYS}.items():
            yield f"{SEARCHED}, {name}", searched, method, epochs
    there = [name for name in (*COUNTED, *case.learnt) if f"{name}-{target}" in run.references.values()]
    for name in there:
        genome = chosen(run, f"{name}-{target}").candidate.genome
        yield f"{name}, finetune", genome, "finetune", epochs / 2 if name in case.learnt else epochs


def measure(case: Case, epochs: float, seed: int, generations: int, found: Measured) -> None:
    """Search and train with one seed, adding to `found`."""
    with tempfile.TemporaryDirectory() as folder:
        problem, run = search(case, epochs, seed, generations, Path(folder))
        for target in TARGETS:
            for row, genome, method, own in rows_of(run, case, target, epochs):
                out = Path(folder) / "out" / f"{row} {target}".replace(",", "").replace(" ", "-")
                out.mkdir(parents=True)
                answer = problem.recover(genome, out, seed, method=method, epochs=own, **(case.options or {}))
                found.errors.setdefault((row, target), []).append(answer.values["test"][case.error])
                source = row.partition(",")[0]
                raw = _raw(problem, genome)
                key = (f"{source}, raw", target)
                if len(found.errors.get(key, [])) < len(found.errors[row, target]):
                    found.errors.setdefault(key, []).append(raw)
                if "forward macs" in answer.description:
                    found.macs.setdefault(row, []).append(float(answer.description["forward macs"]))


def _raw(problem: Any, genome: IntArray) -> float:
    (row,) = problem.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), Split.TEST)
    return float(row[0])


def table(name: str, found: Measured) -> Table:
    """Return a row for each source and way, raw ones first, a column for each target."""
    rows = sorted({row for row, _ in found.errors}, key=lambda row: (not row.endswith("raw"), row))
    cells = [(row, *(_cell(found.errors.get((row, target), [])) for target in TARGETS)) for row in rows]
    columns = ("what, how trained", *(f"{target} % of the weights" for target in TARGETS))
    return Table(f"{name}: error on the test part.", columns, cells)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "-"
    own = np.array(values)
    return f"{own.mean():.4f} ({own.min():.4f}-{own.max():.4f})"


def main() -> None:
    """Search, train, compare, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--case", default="digits", choices=list(CASES), help="which network")
    parser.add_argument("--epochs", type=float, default=8.0, help="of training in all, for each row (8)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds, generations = (1, 2) if options.quick else (options.rounds, 10)
    epochs = 2.0 if options.quick else options.epochs
    case, found = CASES[options.case], Measured({}, {})
    for seed in range(1, seeds + 1):
        progress(f"{options.case}: seed {seed} of {seeds}")
        measure(case, epochs, seed, generations, found)
    macs = max((max(own) for own in found.macs.values()), default=0.0)
    notes = NOTES.format(evaluations=20 * (generations + 1), epochs=epochs, macs=macs, seeds=seeds)
    packages = ("emoprune", "torch", "numpy", "pymoo")
    publish(
        Report(f"Searched and trained masks, {options.case}", [table(options.case, found)], notes, packages), options
    )


if __name__ == "__main__":
    main()
