"""EvoPress's loop, once for each size, and one search for a front, of a language model and counted in tokens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import emoprune
from emoprune.contracts import Row
from emoprune.operators.level_switch import LevelSwitchMutation
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.problem import TransformerProblem
from emoprune.problems.networks.transformers.weights.bits import TransformerBitWidths
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios
from emoprune.records import Split
from emoprune.run import Run
from emoprune.space import IntArray

__all__ = ["SETTINGS", "Found", "Plan", "Setting", "by_front", "by_size", "unpruned_perplexity"]

ANY = 1e30  # a bound that only has a measure recorded
SLACK = 1e-6
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
BITS = (2, 3, 4, 5, 6, 32)


class Counting(TransformerProblem):
    """A problem that counts the tokens that the search measures on, and ends it when so many are spent."""

    tokens = 0.0
    budget = np.inf
    begun_with: IntArray

    def evaluate_blocks(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split, blocks: range) -> list[Row]:
        """Count, then measure."""
        if split is Split.SEARCH:
            self.tokens += len(genomes) * sum(self.block_sizes(split)[blocks.start : blocks.stop])
        return list(super().evaluate_blocks(genomes, seeds, split, blocks))

    def starts(self) -> IntArray:
        """Return what the search begins with."""
        return self.begun_with

    def spent(self) -> Mapping[str, str]:
        """Return the tokens."""
        return {"tokens": f"{self.tokens:,.0f}"}

    def unaffordable(self, searched: int, shown: int) -> str | None:  # noqa: ARG002  # the contract's
        """Say that the tokens are spent."""
        return "the tokens are spent" if self.tokens >= self.budget else None


class Dropping(Counting, HeadsAndNeurons):
    """Attention and feed-forward networks that are dropped as a whole."""


class Ratios(Counting, TransformerWeightRatios):
    """Weights that are zeroed, a share of each linear layer."""


class Bits(Counting, TransformerBitWidths):
    """Weights that are rounded, each linear layer to its own bits."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is pruned, the cost that a size bounds, and the sizes, each with what it means to the problem."""

    title: str
    kind: Callable[..., Counting]
    options: Mapping[str, Any]
    cost: str
    sizes: Mapping[str, float]


SETTINGS = {
    "layers": Setting(
        "attention and feed-forward networks dropped",
        Dropping,
        {"levels": 1, "drop_layers": False, "repair": "none", "criterion": "magnitude"},
        "parameters",
        {"12.5 %": 0.125, "25 %": 0.25, "37.5 %": 0.375},
    ),
    "weights": Setting(
        "weights zeroed",
        Ratios,
        {"shares": list(RATIOS)},
        "parameters",
        {"50 %": 0.5, "60 %": 0.6, "70 %": 0.7},
    ),
    "bits": Setting("bits on average", Bits, {"bits": list(BITS)}, "bytes", {"4": 4.0, "3": 3.0}),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The model, its text, how it is cut into windows, and how far a search goes."""

    model: str
    data: str
    length: int
    windows: int
    tokens: int
    offspring: int
    survivors: Sequence[int]
    starts: int

    def problem(self, setting: Setting, at_most: Mapping[str, float]) -> Counting:
        """Return the problem; perplexity is recorded beside what is searched by."""
        return setting.kind(
            model=self.model,
            data=self.data,
            length=self.length,
            calibration=8,
            search=self.windows,
            select=self.windows,
            test=2 * self.windows,
            references=[],
            objectives=["kl", setting.cost],
            at_most={**at_most, "perplexity": ANY},
            accept_guessing=True,  # the small model of --quick is a random one
            **setting.options,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """Perplexity on the test part by size, None where nothing is small enough, and the tokens that it took."""

    perplexity: Mapping[str, float | None]
    tokens: float


def uniform(setting: Setting, own: Counting, size: str) -> IntArray:
    """Return a genome of that size, even over the layers as far as it can be."""
    space, wanted = own.space, setting.sizes[size]
    genome = space.full.copy()
    if setting.kind is Dropping:
        for kind in (slice(0, None, 2), slice(1, None, 2)):
            there = len(genome[kind])
            genome[kind][: max(1, round(wanted * there))] = 0
    elif setting.kind is Ratios:
        genome[:] = RATIOS.index(round(1 - wanted, 1))
    else:
        genome[:] = BITS.index(round(wanted))
    return genome


def shuffled(own: Counting, genome: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """Return genomes of the same sum of levels, shape (count, genes)."""
    switching = LevelSwitchMutation(most=2 * len(genome))
    return switching(own.space, np.tile(genome, (count, 1)), rng)


def bound(setting: Setting, own: Counting, size: str) -> float:
    """Return the cost of that size as a share of the unpruned model's."""
    described = own.describe(uniform(setting, own, size))
    return float(described[f"{setting.cost} share"]) + 1e-4  # which is rounded to so many places


def by_size(setting: Setting, plan: Plan, size: str, seed: int) -> Found:
    """Run EvoPress's loop for one size."""
    at_most = {f"{setting.cost}-share": bound(setting, plan.problem(setting, {}), size)}
    own = plan.problem(setting, at_most)
    own.begun_with = shuffled(own, uniform(setting, own, size), plan.starts, np.random.default_rng(seed))
    own.budget = plan.tokens / len(setting.sizes)
    algorithm = {
        "name": "evopress",
        "objective": "kl",
        "offspring": plan.offspring,
        "survivors": list(plan.survivors),
    }
    search = {"algorithm": algorithm, "mutation": "level-switch", "population": plan.starts + 1}
    return _run(own, setting, search, seed, [size])


def by_front(setting: Setting, plan: Plan, seed: int) -> Found:
    """Run one search for all sizes, NSGA-II with the engine's defaults."""
    own = plan.problem(setting, {})
    rng = np.random.default_rng(seed)
    each = -(-plan.starts // len(setting.sizes))
    own.begun_with = np.concatenate([shuffled(own, uniform(setting, own, size), each, rng) for size in setting.sizes])
    own.budget = plan.tokens
    search = {"mutation": "level-switch", "population": plan.offspring}
    return _run(own, setting, search, seed, list(setting.sizes))


def _run(own: Counting, setting: Setting, search: Mapping[str, Any], seed: int, sizes: Sequence[str]) -> Found:
    config = {"search": {**search, "generations": 10_000, "seed": seed}, "evaluation": {"backend": "serial"}}
    with tempfile.TemporaryDirectory() as place:
        for _ in emoprune.search(config, problem=own, name="run", runs=place):
            pass
        run = emoprune.open_run(Path(place) / "run")
        found = {size: _best(run, setting, bound(setting, own, size)) for size in sizes}
    return Found(found, own.tokens)


def _best(run: Run, setting: Setting, share: float) -> float | None:
    """Return the test perplexity of what is small enough and nearest to the unpruned model on the select part."""
    frame = run.pareto
    unpruned = frame.loc[frame["name"] == "unpruned", f"obj.{setting.cost}"].iloc[0]
    small = frame[(frame[f"obj.{setting.cost}"] <= share * unpruned) & (frame["test.status"] == "ok")]
    if small.empty:
        return None
    return float(small.loc[small["select.kl"].idxmin(), "test.con.perplexity-bound"])


def unpruned_perplexity(plan: Plan, setting: Setting) -> float:
    """Return the unpruned model's perplexity on the test part."""
    own: Any = plan.problem(setting, {})
    with tempfile.TemporaryDirectory() as place:
        own.prepare(Path(place), 0)
        own.setup("cpu", 1)
        row = own.evaluate(own.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), Split.TEST)[0]
    return float(row[-1])
