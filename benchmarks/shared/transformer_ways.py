"""Ways to a smaller transformer without training: a search, thresholds on criteria, K-prune, dropped layers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import emoprune
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.prepare import unit_costs
from emoprune.problems.networks.transformers.repair.k_prune import k_pruned
from emoprune.problems.networks.transformers.repair.sequential import repaired_in_turn
from emoprune.problems.networks.transformers.tasks.scoring import scores_of_model
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Setting", "greedy_heads", "searched", "without_a_search"]

NAMES = ("global-criterion", "dropped-layers", "uniform")
NO_SEEDS = np.zeros(1, dtype=np.uint64)
BySize = dict[str, float | None]


@dataclass(frozen=True)
class Setting:
    """A model, its data, how long a search is, and at which sizes, in percent of the cost that stays, ways compare."""

    title: str
    model: str
    task: str
    data: str
    length: int
    calibration: int
    population: int
    generations: int
    cost: str
    sizes: Sequence[int]

    @property
    def classifies(self) -> bool:
        """Whether it tells classes apart."""
        return self.task == "text-classification"

    @property
    def measure(self) -> str:
        """What a search minimises; smoother than an error on a few hundred sentences."""
        return "loss" if self.classifies else "perplexity"

    @property
    def shown(self) -> str:
        """What is shown."""
        return "accuracy in percent" if self.classifies else "perplexity"

    @property
    def about_test(self) -> str:
        """How large the test part is."""
        return "a fifth of the sentences" if self.classifies else f"{64 * (self.length - 1):,} tokens"

    def problem(self, criterion: str, repair: str, references: Sequence[str] = ()) -> HeadsAndNeurons:
        """Return the problem with a criterion and a repair."""
        return HeadsAndNeurons(
            model=self.model,
            task=self.task,
            data=self.data,
            length=self.length,
            calibration=self.calibration,
            search=8,
            select=16,
            test=64,
            levels=16,
            criterion=criterion,
            repair=repair,
            references=list(references),
            percentages=list(self.sizes),
            objectives=[self.measure, self.cost],
            accept_guessing=True,  # the small model of --quick is a random one
        )


def searched(setting: Setting, seed: int) -> BySize:
    """Return what a search with that seed finds at each size."""
    own = setting.problem("heapr", "least-squares", ["uniform", "global-criterion"])
    config = {
        "search": {
            "population": setting.population,
            "generations": setting.generations,
            "crossover": "one-point",
            "seed": seed,
        },
        "evaluation": {"backend": "serial"},
    }
    with tempfile.TemporaryDirectory() as place:
        search = emoprune.search(config, problem=own, name="searched", runs=place)
        for _ in search:
            pass
        run = emoprune.open_run(Path(place) / "searched")
        by_id = {each.candidate.id: each.candidate.genome for each in run.evaluations()}
        genomes = [by_id[number] for number in run.pareto[run.pareto["rank"] == 1]["candidate_id"]]
    return {str(size): _best(setting, own, genomes, size) for size in setting.sizes}


def _best(setting: Setting, own: HeadsAndNeurons, genomes: Sequence[IntArray], size: int) -> float | None:
    """Return the test result of the genome that is small enough and best on the select part."""
    small = [genome for genome in genomes if _share(own, genome, setting.cost) <= size / 100]
    if not small:
        return None
    values = [float(own.evaluate(genome[np.newaxis], NO_SEEDS, Split.SELECT)[0][0]) for genome in small]  # type: ignore[index]
    return _shown(setting, own, own.loaded.narrower.narrowed(own.plans(small[int(np.argmin(values))])))


def _share(own: HeadsAndNeurons, genome: IntArray, cost: str) -> float:
    return float(own.describe(genome)[f"{cost} share"])


def _shown(setting: Setting, own: HeadsAndNeurons, model: Any) -> float:
    name = "error" if setting.classifies else "perplexity"
    found = scores_of_model(own.open(), model, "test", frozenset({name}), device="cpu")[name]
    return 100 * (1 - found) if setting.classifies else found


def without_a_search(setting: Setting, seeds: Sequence[int]) -> dict[str, dict[str, list[float | None]]]:
    """Return what every other way gives, by size; the unpruned model first."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for way, criterion, runs in (
        ("magnitude, global", "magnitude", seeds[:1]),
        ("random, global", "random", seeds),
        ("HEAPr, global", "heapr", seeds[:1]),
        ("k-prune", "k-prune", seeds[:1]),
    ):
        for seed in runs:
            with tempfile.TemporaryDirectory() as place:
                own = setting.problem(criterion, "none", NAMES)
                own.prepare(Path(place), seed)
                own.setup("cpu", 1)
            genomes = {reference.name: reference.genome for reference in own.references()}
            if not found:
                whole = _shown(setting, own, own.open().task.model)
                found["unpruned"] = {str(size): [whole] for size in setting.sizes}
                for name in ("dropped-layers", "uniform"):
                    found[name] = {str(size): [_largest(setting, own, genomes, name, size)] for size in setting.sizes}
            by_size = found.setdefault(way, {str(size): [] for size in setting.sizes})
            for size in setting.sizes:
                genome = genomes.get(f"global-criterion-{size}")
                by_size[str(size)].append(_at(setting, own, genome, in_turn=way == "k-prune"))
    if setting.classifies:
        found["k-prune, own search"] = _own_search(setting, seeds[0])
    return found | greedy_heads(setting, seeds[0])


def greedy_heads(setting: Setting, seed: int) -> dict[str, dict[str, list[float | None]]]:
    """Return what the reference greedy-heads gives, by size, with the heads that its paper keeps."""
    own = setting.problem("head-gates", "none", ["greedy-heads"])
    with tempfile.TemporaryDirectory() as place:
        own.prepare(Path(place), seed)
        own.setup("cpu", 1)
    genomes = {reference.name: reference.genome for reference in own.references()}
    return {
        "greedy-heads": {str(size): [_largest(setting, own, genomes, "greedy-heads", size)] for size in setting.sizes}
    }


def _largest(
    setting: Setting, own: HeadsAndNeurons, genomes: Mapping[str, IntArray], name: str, size: int
) -> float | None:
    """Return what the largest of the references of a name that is small enough gives."""
    small = {
        share: genome
        for label, genome in genomes.items()
        if label.startswith(name) and (share := _share(own, genome, setting.cost)) <= size / 100
    }
    return _at(setting, own, small[max(small)] if small else None)


def _at(setting: Setting, own: HeadsAndNeurons, genome: IntArray | None, *, in_turn: bool = False) -> float | None:
    """Return what a genome gives, repaired in turn or not at all."""
    if genome is None:
        return None
    plans, narrower = own.plans(genome), own.loaded.narrower
    if in_turn:
        model = trainable(narrower.narrowed(plans)).requires_grad_(requires_grad=False)
        model = repaired_in_turn(own.open(), model, plans, "cpu")
    else:
        model = narrower.narrowed(plans)
    return _shown(setting, own, model)


def _own_search(setting: Setting, seed: int) -> dict[str, list[float | None]]:
    """Return what K-prune finds when it measures anew before each sub-layer."""
    own = setting.problem("k-prune", "none")
    with tempfile.TemporaryDirectory() as place:
        own.prepare(Path(place), seed)
    own.setup("cpu", 1)
    opened = own.open()
    found: dict[str, list[float | None]] = {}
    for size in setting.sizes:
        model, plans = k_pruned(opened, _macs_of_units(setting, own), size / 100, seed)
        whole = own.counted([opened.anatomy.whole(each) for each in range(len(plans))])[setting.cost]
        fits = own.counted(plans)[setting.cost] <= whole * size / 100 * 1.01
        found[str(size)] = [_shown(setting, own, model) if fits else None]
    return found


def _macs_of_units(setting: Setting, own: HeadsAndNeurons) -> list[Scores]:
    """Return what each unit multiplies for one token, its share of attention over all tokens included."""
    opened = own.open()
    costs = unit_costs(opened)
    for number, block in enumerate(opened.anatomy.blocks):
        costs[2 * number] = costs[2 * number] + 2 * block.attention.width * setting.length
    return costs
