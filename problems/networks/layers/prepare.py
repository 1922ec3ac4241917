"""What a run of treated layers makes once and keeps: the ranks of the weights, the references, the precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from emoprune.contracts import Reference
from emoprune.problems.compute.precision import PrecisionChoice
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.precision import choose_precision, kept_precision
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.treater import Treater
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.storage.arrays import Weights, sealed_arrays
from emoprune.problems.storage.kept import sealed_json
from emoprune.problems.storage.kept_references import REFERENCES, as_json, from_json

__all__ = ["LayersPrepared", "Method", "prepared_layers"]

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Method:
    """What ranks the weights of a layer, by its name and as a function, and what makes the references.

    `scored` returns the scores of each layer's weights by the layer's path, or none; `referred` returns references.
    """

    name: str
    scored: Callable[[Evidence], Tensors]
    referred: Callable[[LayerLevels, Evidence], tuple[Reference, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class LayersPrepared:
    """What the treatment made of the scores, by the layer's path, the references, and the precision to run in."""

    ranks: Tensors
    references: tuple[Reference, ...]
    precision: str


def prepared_layers(task: NetworkTask, levels: LayerLevels, method: Method, folder: Path, seed: int) -> LayersPrepared:
    """Make what is not in `folder` yet, and keep it there.

    Kept, because a resume on another machine must not rank two nearly equal weights the other way round.
    """
    bench = task.bench("cpu")
    evidence = Evidence(bench.network, bench.structure, bench.calibration, seed)
    ranks = _ranks(levels, method, evidence, folder / f"ranks-{method.name}.safetensors")
    kept = sealed_json(folder / REFERENCES, lambda: as_json(method.referred(levels, evidence), {}))
    references, _ = from_json(kept, levels.space)
    return LayersPrepared(ranks, references, _precision(task, bench, levels, ranks, folder / "precision.json"))


def _ranks(levels: LayerLevels, method: Method, evidence: Evidence, path: Path) -> Tensors:
    def made() -> Weights:
        scores = method.scored(evidence)
        ranked = {part.path: levels.treatment.ranked(part, scores[part.path]) for part in levels.parts if scores}
        return {layer: own.numpy() for layer, own in ranked.items()}

    kept = {layer: torch.from_numpy(own) for layer, own in sealed_arrays(path, made).items()}
    return {part.path: kept.get(part.path, torch.empty(0)) for part in levels.parts}


def _precision(task: NetworkTask, bench: Bench, levels: LayerLevels, ranks: Tensors, path: Path) -> str:
    """Return the precision that the config names, or the one that `auto` finds, on networks of several levels."""

    def chosen() -> PrecisionChoice:
        treater = Treater(bench.network, levels, ranks, 0)
        tried = [np.full(len(levels.layers), level) for level in _spread(levels.highest)]
        return choose_precision(bench, [treater.variant(own) for own in tried], task.estimate)

    return kept_precision(path, task.options.precision, chosen)


def _spread(highest: int) -> Sequence[int]:
    """Return up to four levels, evenly from the highest downwards, the lowest left out: it may predict nothing."""
    return sorted({highest - highest * quarter // 4 for quarter in range(4)}, reverse=True)
