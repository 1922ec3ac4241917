"""A problem small enough to enumerate, for tests that need a real one; importable, so that other processes find it."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from emoprune.contracts import (
    Audit,
    Description,
    Failure,
    Finding,
    Inspection,
    Objective,
    Problem,
    Recovered,
    Reference,
    Rows,
)
from emoprune.contracts.stages import Concluded, Next, Stage
from emoprune.errors import ConfigError, ContractError
from emoprune.records import Candidate, Split
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["GradedKnapsack12", "Half", "HalvedKnapsack", "Knapsack12", "OfferingKnapsack12", "SurveyingKnapsack12"]


class Knapsack12:
    """Leave items out of a knapsack: lose as little of its worth as possible, carry as little weight as possible.

    Neighbouring items are worth more together. Weights are whole numbers, and so are the worths, which differ between
    the splits: all sums are exact, in every batch and order.

    Args:
        bits: How many items, at least 2.
        pause: Seconds that measuring one genome takes on top.
        noise: Standard deviation of what each genome's own seed adds to its loss.
    """

    def __init__(self, bits: int = 12, pause: float = 0.0, noise: float = 0.0) -> None:
        if bits < 2 or pause < 0 or noise < 0:
            raise ConfigError(
                f"expected bits of at least 2, pause and noise of at least 0, found {bits}, {pause}, {noise}"
            )
        self._pause = pause
        self._noise = noise
        self._weights = np.random.default_rng(7).integers(1, 30, bits)
        self._worths: dict[Split, IntArray] | None = None
        genes = tuple(Gene(f"item{i}") for i in range(bits))
        self.space = Space(genes, costs=self._weights.astype(np.float64))
        self.objectives = (
            Objective("loss", worst=1.0),
            Objective("weight", unit="g", worst=float(self._weights.sum())),
        )

    def setup(self, device: str, threads: int) -> None:
        """Make the worths of all items, alone and beside their right neighbour, for each split."""
        self._worths = {split: self._worth(number) for number, split in enumerate(Split)}

    def _worth(self, number: int) -> IntArray:
        return np.random.default_rng([11, number]).integers(1, 100, (2, len(self.space)))

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Return the share of the worth that is lost and the weight that is kept, shape (n, 2)."""
        if self._worths is None:
            raise ContractError("expected a knapsack that is set up, found one that is not; call setup() first")
        if self._pause:
            time.sleep(self._pause * len(genomes))
        loss = _loss(genomes, self._worths[split])
        if self._noise:
            loss += self._noise * np.array([np.random.default_rng(int(seed)).normal() for seed in seeds])
        return np.column_stack([loss, genomes @ self._weights])

    def references(self) -> Sequence[Reference]:
        """Return everything, every other item, and the lighter half."""
        every_other = np.arange(len(self.space)) % 2
        lightest = np.zeros(len(self.space), dtype=np.int64)
        lightest[np.argsort(self._weights, kind="stable")[: len(self.space) // 2]] = 1
        return (
            Reference("unpruned", self.space.full),
            Reference("uniform", every_other),
            Reference("lightest", lightest),
        )

    def describe(self, genome: IntArray) -> Description:
        """Name the items that are kept."""
        kept = [name for name, on in zip(self.space.names, genome, strict=True) if on]
        return {"items": len(kept), "kept": " ".join(kept), "weight": int(genome @ self._weights)}

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the kept items and their weights as JSON, read them back, and compare the weight."""
        kept = {
            name: int(weight) for name, weight in zip(self.space.names, self._weights * genome, strict=True) if weight
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "knapsack.json"
        path.write_text(json.dumps({"items": kept}), encoding="utf-8")
        reloaded = sum(json.loads(path.read_text(encoding="utf-8"))["items"].values())
        if reloaded != int(genome @ self._weights):
            raise ContractError(
                f"export: expected a weight of {genome @ self._weights}, found {reloaded} in {path.name}"
            )
        return {"file": path.name, "weight": reloaded}


def _loss(genomes: IntArray, worths: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of the worth, shape (2, genes) for items alone and in pairs, that each genome leaves out."""
    alone, paired = worths
    pairs = genomes[:, :-1] * genomes[:, 1:]
    kept = genomes @ alone + pairs @ paired[:-1]
    return np.asarray(1.0 - kept / (alone.sum() + paired[:-1].sum()))


class GradedKnapsack12(Knapsack12):
    """A knapsack whose loss is the mean over blocks, each of which has worths of its own around the common ones.

    Args:
        bits: How many items.
        spread: How far the worths of a block lie from the common ones, as a share of these.
        noisy: Which values vary; none for a problem that is measured in full.
        block_pause: Seconds that measuring one genome on one block takes on top.
        digits: To how many a loss is rounded; with one, as many losses are equal as where hits are counted.
    """

    grades = (2, 4, 8)

    def __init__(
        self,
        bits: int = 12,
        spread: float = 0.5,
        noisy: Sequence[str] = ("loss",),
        block_pause: float = 0.0,
        digits: int = 9,
    ) -> None:
        super().__init__(bits)
        self.noisy = tuple(noisy)
        self._spread = spread
        self._block_pause = block_pause
        self._digits = digits

    def block_sizes(self, split: Split) -> Sequence[float]:
        """Return the sizes of eight blocks of a search part, of four of the others: the last is smaller."""
        return (4.0,) * 7 + (3.0,) if split is Split.SEARCH else (4.0,) * 4

    def evaluate_blocks(
        self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split, blocks: range
    ) -> NDArray[np.float64]:
        """Return the loss on each block and the weight, shape (n, blocks, 2)."""
        if self._worths is None:
            raise ContractError("expected a knapsack that is set up, found one that is not; call setup() first")
        time.sleep(self._block_pause * len(genomes) * len(blocks))
        number = list(Split).index(split)
        rows = np.empty((len(genomes), len(blocks), 2))
        rows[:, :, 1] = (genomes @ self._weights)[:, None]
        for place, block in enumerate(blocks):
            apart = np.random.default_rng([13, number, block]).normal(1.0, self._spread, self._worths[split].shape)
            rows[:, place, 0] = np.round(_loss(genomes, self._worths[split] * apart), self._digits)
        return rows

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Return the mean loss over all blocks and the weight, shape (n, 2)."""
        sizes = self.block_sizes(split)
        return np.average(self.evaluate_blocks(genomes, seeds, split, range(len(sizes))), axis=1, weights=sizes)


class OfferingKnapsack12(Knapsack12):
    """A knapsack that offers all a problem may offer: formats, an inspection, an audit, a recovery."""

    formats = ("json", "csv")

    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the kept items in each format; verified, their weights are read back and added up."""
        words: dict[str, str | int | float] = {}
        for wanted in formats:
            write = self.export if wanted == "json" else self._export_csv
            words |= {f"{wanted}.{name}": value for name, value in write(genome, folder).items()}
        return words if verify else {"files": len(formats)}

    def _export_csv(self, genome: IntArray, folder: Path) -> Description:
        path = folder / "knapsack.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(zip(self.space.names, (self._weights * genome).tolist(), strict=True))
        with path.open(newline="", encoding="utf-8") as file:
            reloaded = sum(int(weight) for _, weight in csv.reader(file))
        if reloaded != int(genome @ self._weights):
            raise ContractError(f"export: expected a weight of {genome @ self._weights}, found {reloaded}")
        return {"file": path.name, "weight": reloaded}

    def inspect(self) -> Inspection:
        """List the items; every one of them can be left out."""
        items = [
            {"item": name, "weight": weight, "locked to": None}
            for name, weight in zip(self.space.names, self._weights, strict=True)
        ]
        total = int(self._weights.sum())
        summary = {"items": len(items), "smallest weight": 0, "largest weight": total, "can be empty": True}
        return Inspection(summary, {"items": items}, ["Nothing is locked: every item can be left out."])

    def audit(
        self,
        candidates: Sequence[Candidate],
        folder: Path,
        seed: int,
        *,
        resamples: Annotated[int, Field(ge=10)] = 200,
        confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95,
    ) -> Audit:
        """Compare the order of the candidates by loss on search and on select: Kendall's tau, resampled."""
        genomes = np.stack([candidate.genome for candidate in candidates])
        seeds = np.zeros(len(genomes), dtype=np.uint64)
        search, select = (self.evaluate(genomes, seeds, split)[:, 0] for split in (Split.SEARCH, Split.SELECT))
        np.savetxt(folder / "losses.txt", np.column_stack([search, select]))
        drawn = np.random.default_rng(seed).integers(0, len(genomes), (resamples, len(genomes)))
        low, high = np.quantile([_tau(search[rows], select[rows]) for rows in drawn], [1 - confidence, confidence])
        tau = _tau(search, select)
        sentence = (
            "The order on search is that on select." if low > 0 else "The order on search says nothing of select."
        )
        rows = [
            {"candidate": candidate.id, "search": before, "select": after}
            for candidate, before, after in zip(candidates, search, select, strict=True)
        ]
        return Audit([Finding("kendall-tau", tau, low, high, bool(low <= 0), sentence)], {"losses": rows})

    def recover(
        self, genome: IntArray, folder: Path, seed: int, *, epochs: Annotated[int, Field(ge=1)] = 1, heaviest: int = 30
    ) -> Recovered:
        """Put back, one after the other, the `epochs` items of at most `heaviest` that win back most on search."""
        full = genome.copy()
        for _ in range(epochs):
            missing = np.flatnonzero((full == 0) & (self._weights <= heaviest))
            if len(missing):
                tried = np.tile(full, (len(missing), 1))
                tried[np.arange(len(missing)), missing] = 1
                losses = self.evaluate(tried, np.zeros(len(tried), dtype=np.uint64), Split.SEARCH)[:, 0]
                full = tried[np.argmin(losses)]
        description = self.export(full, folder)
        names = [objective.name for objective in self.objectives]
        rows = {split: self.evaluate(full[None], np.zeros(1, dtype=np.uint64), split)[0] for split in Split}
        return Recovered({split.value: dict(zip(names, row, strict=True)) for split, row in rows.items()}, description)


def _tau(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return Kendall's tau-a of two rows of numbers."""
    upper = np.triu_indices(len(first), 1)
    signs = np.sign(np.subtract.outer(first, first)) * np.sign(np.subtract.outer(second, second))
    return float(signs[upper].mean())


class SurveyingKnapsack12(Knapsack12):
    """A knapsack that finds out what each item is worth: it is measured without each item, then without the worst ones.

    Args:
        noise: As in the knapsack.
        pause: As in the knapsack.
        broken: How many of the items can not be left out alone, the first ones.
    """

    def __init__(self, noise: float = 0.0, pause: float = 0.0, broken: int = 0) -> None:
        super().__init__(noise=noise, pause=pause)
        self._broken = broken

    def starts(self) -> IntArray:
        """Return everything but one item, for each item."""
        return 1 - np.eye(len(self.space), dtype=np.int64)

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> Rows:
        """Return loss and weight, and failures where a broken item is left out alone."""
        values = super().evaluate(genomes, seeds, split)
        broken = (genomes.sum(axis=1) == len(self.space) - 1) & (genomes[:, : self._broken] == 0).any(axis=1)
        rows = zip(values, broken.tolist(), strict=True)
        return [Failure("this item cannot be left out alone") if wrong else row for row, wrong in rows]

    def surveyed(self, genomes: IntArray, values: NDArray[np.float64]) -> Sequence[Reference]:
        """Return the knapsack without the cheapest item, which was measured, and without the 3 and the 6 cheapest."""
        alone = np.flatnonzero(genomes.sum(axis=1) == len(self.space) - 1)
        losses = np.full(len(self.space), np.inf)
        losses[np.argmin(genomes[alone], axis=1)] = np.nan_to_num(values[alone, 0], nan=np.inf)
        cheapest = np.argsort(losses, kind="stable")
        picked = []
        for count in (1, 3, 6):
            genome = self.space.full.copy()
            genome[cheapest[:count]] = 0
            picked.append(Reference(f"without-{count}", genome))
        return picked


class Half:
    """One half of a knapsack as a stage: the items of the other half all stay.

    Args:
        whole: The knapsack.
        items: Which items this half is made of.
        broken: Whether nothing can be measured.
    """

    def __init__(self, whole: Knapsack12, items: slice, *, broken: bool = False) -> None:
        self._whole = whole
        self._items = items
        self._broken = broken
        self.space = Space(whole.space.genes[items])
        self.objectives = whole.objectives

    def setup(self, device: str, threads: int) -> None:
        """Set the whole up."""
        self._whole.setup(device, threads)

    def _completed(self, genomes: IntArray) -> IntArray:
        completed = np.ones((len(genomes), len(self._whole.space)), dtype=np.int64)
        completed[:, self._items] = genomes
        return completed

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Return loss and weight of the whole."""
        if self._broken:
            raise ContractError("expected a half that can be measured, found a broken one")
        return self._whole.evaluate(self._completed(genomes), seeds, split)

    def references(self) -> Sequence[Reference]:
        """Return everything."""
        return (Reference("unpruned", self.space.full),)

    def describe(self, genome: IntArray) -> Description:
        """Say how many items stay."""
        return {"items": int(genome.sum())}

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Refuse: a half is no knapsack."""
        raise ContractError("expected a whole knapsack, found a half; export from the search itself")


class HalvedKnapsack:
    """A knapsack searched in stages: each half for itself, then which member of either half's front to take.

    Args:
        broken: The halves in which nothing can be measured.
        noise: As in the knapsack.
        pause: As in the knapsack.
    """

    HALVES = ("left", "right")

    def __init__(self, broken: Sequence[str] = (), noise: float = 0.0, pause: float = 0.0) -> None:
        self._whole = Knapsack12(noise=noise, pause=pause)
        cut = {"left": slice(0, 6), "right": slice(6, 12)}
        self._halves = {name: Half(self._whole, cut[name], broken=name in broken) for name in self.HALVES}
        self._choices: list[IntArray] | None = None
        self.objectives = self._whole.objectives

    def prepare(self, folder: Path, seed: int) -> None:
        """Take up what was decided before, if anything was."""
        if (folder / "choices.json").exists():
            plain = json.loads((folder / "choices.json").read_text(encoding="utf-8"))
            self._choices = [np.array(own, dtype=np.int64) for own in plain]

    def following(self, concluded: Mapping[str, Concluded], folder: Path, seed: int) -> Next:
        """Return the halves, then nothing more."""
        if not concluded:
            left, right = self._halves.items()
            return Next([Stage(*left, {"population": 6, "generations": 4}), Stage(*right, {"seed": 9})])
        full = np.ones((1, 6), dtype=np.int64)
        fronts = [concluded[name].genomes if len(concluded[name]) else full for name in self.HALVES]
        (folder / "choices.json").write_text(json.dumps([own.tolist() for own in fronts]), encoding="utf-8")
        self._choices = fronts
        rows = [{"half": name, "members": len(own)} for name, own in zip(self.HALVES, fronts, strict=True)]
        notes = [f"The {name} half failed: {own.failed}" for name, own in concluded.items() if own.failed]
        return Next(tables={"halves": rows}, notes=notes)

    def stage(self, name: str) -> Problem:
        """Return a half."""
        return self._halves[name]

    @property
    def _chosen(self) -> list[IntArray]:
        if self._choices is None:
            raise ContractError("expected halves that were searched, found none yet")
        return self._choices

    @property
    def space(self) -> Space:
        """One category per half."""
        named = zip(self.HALVES, self._chosen, strict=True)
        return Space(tuple(Gene(name, len(own), GeneKind.CATEGORY) for name, own in named))

    def setup(self, device: str, threads: int) -> None:
        """Set the whole up."""
        self._whole.setup(device, threads)

    def _items(self, genomes: IntArray) -> IntArray:
        return np.concatenate([own[genomes[:, half]] for half, own in enumerate(self._chosen)], axis=1)

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:
        """Return loss and weight."""
        return self._whole.evaluate(self._items(genomes), seeds, split)

    def references(self) -> Sequence[Reference]:
        """Return everything: the first member of both halves."""
        return (Reference("unpruned", np.zeros(2, dtype=np.int64)),)

    def starts(self) -> IntArray:
        """Return the last member of both halves."""
        return self.space.full[None, :]

    def describe(self, genome: IntArray) -> Description:
        """Say how many items stay."""
        return {"items": int(self._items(genome[None, :]).sum())}

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the kept items."""
        kept = self._items(genome[None, :])[0].tolist()
        (folder / "kept.json").write_text(json.dumps(kept), encoding="utf-8")
        return {"items": sum(kept)}
