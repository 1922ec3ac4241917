"""A real language model, genomes from a real search of its heads and neurons, and the ways to score them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import emoprune
from emoprune.contracts import Row
from emoprune.problems.networks.transformers.anatomy.masking import masked
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.standalone.narrowing import counted, narrow_block
from emoprune.records import Split
from emoprune.space import IntArray
from shared.meters import Meter

__all__ = ["DEEPCOPY", "MASKED", "SHARING", "Timed", "Watched", "asked_of_a_search", "problem", "timed"]

MASKED, DEEPCOPY, SHARING = "masked, full size", "deepcopy, sliced", "emoprune, sharing"
NO_SEEDS = np.zeros(1, dtype=np.uint64)


class Watched(HeadsAndNeurons):
    """Remembers the pieces in which the search split was asked for."""

    asked: list[IntArray]

    def evaluate(self, genomes: IntArray, seeds: Any, split: Split) -> Sequence[Row]:
        """Return the rows, and take note of the genomes."""
        if split is Split.SEARCH:
            self.asked.append(genomes.copy())
        return super().evaluate(genomes, seeds, split)


def problem(model: str, data: str, windows: int) -> Watched:
    """Return the problem without a repair, so that the masked model is the same model."""
    made = Watched(
        model=model,
        data=data,
        calibration=8,
        search=windows,
        select=4,
        test=4,
        levels=12,
        repair="none",
        references=["uniform", "global-criterion"],
        at_most={"perplexity": 1000.0},
        accept_guessing=True,  # the small model of --quick is a random one
    )
    made.asked = []
    return made


def asked_of_a_search(own: Watched, folder: Path, population: int, generations: int) -> list[IntArray]:
    """Return the pieces of genomes that a search of the engine asked for, in their order."""
    config = {
        "search": {"population": population, "generations": generations, "crossover": "one-point", "seed": 1},
        "evaluation": {"backend": "serial", "chunk": population // 2},
    }
    for _ in emoprune.search(config, problem=own, name="transformers", runs=folder):
        pass
    return own.asked


@dataclass(frozen=True, slots=True)
class Timed:
    """What scoring some genomes took, what came out, and how much memory it took on top."""

    cpu: float
    wall: float
    perplexities: tuple[float, ...]


def timed(way: str, own: HeadsAndNeurons, pieces: Sequence[IntArray]) -> Timed:
    """Score genomes as one way says; `own` is set up, nothing is kept yet."""
    meter, found = Meter(), []
    for piece in pieces:
        if way == SHARING:
            with meter:
                rows = own.evaluate(piece, NO_SEEDS, Split.SEARCH)
            found += [float(row[0]) for row in rows]  # type: ignore[index]  # nothing fails here
            continue
        for genome in piece:
            with meter:
                found.append(_masked(own, genome) if way == MASKED else _copied(own, genome))
    return Timed(meter.cpu, meter.wall, tuple(found))


def _masked(own: HeadsAndNeurons, genome: IntArray) -> float:
    """Return the perplexity of the whole model with closed gates, as the library computes a loss."""
    opened, plans = own.open(), own.plans(genome)
    with masked(opened.task.model, opened.anatomy, plans):
        return _perplexity(own, opened.task.model)


def _copied(own: HeadsAndNeurons, genome: IntArray) -> float:
    """Return the perplexity of a deep copy that is sliced in place."""
    opened, plans = own.open(), own.plans(genome)
    model = copy.deepcopy(opened.task.model)
    blocks = model.get_submodule(opened.anatomy.path)
    plan = own.loaded.narrower.plan(plans)
    sources = own.loaded.narrower
    kept = []
    for number, shape in zip(plan["kept"], plan["layers"], strict=True):
        tensors = {name: each.clone() for name, each in sources.block(number, plans[number]).named_parameters()}
        kept.append(narrow_block(blocks[number], shape, tensors))
    model.model.layers = torch.nn.ModuleList(kept)
    counted(model, plan["kept"], kept)
    return _perplexity(own, model)


def _perplexity(own: HeadsAndNeurons, model: Any) -> float:
    total, count = 0.0, 0
    with torch.no_grad():
        for batch in own.open().task.parts["search"]:
            ids = batch.inputs["input_ids"]
            tokens = ids[:, 1:].numel()
            total += float(model(input_ids=ids, labels=ids).loss) * tokens
            count += tokens
    return math.exp(total / count)
