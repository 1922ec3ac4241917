"""What a run of treated layers makes once and keeps: the ranks of the weights, the references, the precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from emoprune.contracts import Reference, Starts
from emoprune.problems.compute.precision import PrecisionChoice
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.precision import choose_precision, kept_precision
from emoprune.problems.networks.layers.references.catalogue import first_references
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.saliencies.of_networks import weight_gradients
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.treater import Treater
from emoprune.problems.networks.recovery.rounds.training import Training
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.storage.arrays import Weights, sealed_arrays
from emoprune.problems.storage.found_references import Methods
from emoprune.problems.storage.kept import sealed_json
from emoprune.problems.storage.kept_references import REFERENCES, as_json, from_json
from emoprune.records import Split

__all__ = ["LayersPrepared", "Method", "Tensors", "prepared_layers", "reference_inputs"]

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Method:
    """What ranks the weights of a layer, by its name and as a function, and what makes the references.

    `scored` returns the scores of each layer's weights by the layer's path, or none.
    """

    name: str
    scored: Callable[[Evidence], Tensors]
    references: Methods


@dataclass(frozen=True, slots=True, eq=False)
class LayersPrepared:
    """What the treatment made of the scores, by the layer's path, the references, and the precision to run in.

    `starts` are what has to be measured for more references, by method.
    """

    ranks: Tensors
    references: tuple[Reference, ...]
    starts: Mapping[str, Starts]
    precision: str


def prepared_layers(task: NetworkTask, levels: LayerLevels, method: Method, folder: Path, seed: int) -> LayersPrepared:
    """Make what is not in `folder` yet, and keep it there.

    Kept, because a resume on another machine must not rank two nearly equal weights the other way round.
    """
    bench = task.bench("cpu")
    evidence = _evidence(bench, seed)
    ranks = _ranks(levels, method, evidence, folder / f"ranks-{method.name}.safetensors")
    macs = task.measures.unpruned["macs"]
    training = Training(bench.network, task.data.train, bench.images[Split.SELECT], macs, seed, folder / "rounds")
    inputs = replace(reference_inputs(bench, levels, seed), training=training)
    kept = sealed_json(folder / REFERENCES, lambda: as_json(*first_references(method.references, inputs)))
    references, starts = from_json(kept, levels.space)
    precision = _precision(task, bench, levels, ranks, folder / "precision.json")
    return LayersPrepared(ranks, references, starts, precision)


def reference_inputs(bench: Bench, levels: LayerLevels, seed: int) -> LayerReferenceInputs:
    """Return what references are made from; `bench` is one on the CPU."""
    weights = {part.path: bench.network.get_parameter(f"{part.path}.weight").detach() for part in levels.parts}
    evidence, rng = _evidence(bench, seed), np.random.default_rng(seed)
    return LayerReferenceInputs.of(levels, weights, lambda: weight_gradients(evidence), rng)


def _evidence(bench: Bench, seed: int) -> Evidence:
    return Evidence(bench.network, bench.structure, bench.calibration, seed)


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
