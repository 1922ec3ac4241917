"""What a run of treated layers makes once and keeps: the ranks of the weights, the references, the precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from emoprune.contracts import Reference
from emoprune.problems.networks.bench import Bench
from emoprune.problems.networks.criteria.evidence import Evidence
from emoprune.problems.networks.references.stored import as_json, from_json
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.treatments.levels import LayerLevels
from emoprune.problems.networks.treatments.treater import Treater

__all__ = ["Method", "PreparedLayers", "prepared_layers"]

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
class PreparedLayers:
    """What the treatment made of the scores, by the layer's path, the references, and the precision to run in."""

    ranks: Tensors
    references: tuple[Reference, ...]
    precision: str


def prepared_layers(task: NetworkTask, levels: LayerLevels, method: Method, folder: Path, seed: int) -> PreparedLayers:
    """Make what is not in `folder` yet, and keep it there.

    Kept, because a resume on another machine must not rank two nearly equal weights the other way round.
    """
    bench = task.bench("cpu")
    evidence = Evidence(bench.network, bench.structure, bench.calibration, seed)
    ranks = _ranks(levels, method, evidence, folder / f"ranks-{method.name}.safetensors")
    references = _references(levels, method, evidence, folder / "references.json")
    return PreparedLayers(ranks, references, _precision(task, bench, levels, ranks, folder / "precision.json"))


def _ranks(levels: LayerLevels, method: Method, evidence: Evidence, path: Path) -> Tensors:
    if not path.exists():
        scores = method.scored(evidence)
        save_file(
            {part.path: levels.treatment.ranked(part, scores[part.path]) for part in levels.parts if scores}, path
        )
    kept = load_file(path)
    return {part.path: kept.get(part.path, torch.empty(0)) for part in levels.parts}


def _references(levels: LayerLevels, method: Method, evidence: Evidence, path: Path) -> tuple[Reference, ...]:
    if not path.exists():
        made = as_json(method.referred(levels, evidence), {})
        path.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return from_json(json.loads(path.read_text(encoding="utf-8")), levels.space)[0]


def _precision(task: NetworkTask, bench: Bench, levels: LayerLevels, ranks: Tensors, path: Path) -> str:
    """Return the precision that the config names, or the one that `auto` finds, on networks of several levels."""
    wanted = task.options.precision
    if wanted != "auto":
        return wanted
    if not path.exists():
        from emoprune.problems.networks.precision import choose_precision

        treater = Treater(bench.network, levels, ranks, 0)
        tried = [np.full(len(levels.layers), level) for level in _spread(levels.highest)]
        chosen = choose_precision(bench, [treater.variant(own) for own in tried], task.estimate)
        path.write_text(json.dumps({"precision": chosen.precision, "why": chosen.reason}), encoding="utf-8")
    kept: str = json.loads(path.read_text(encoding="utf-8"))["precision"]
    return kept


def _spread(highest: int) -> Sequence[int]:
    """Return up to four levels, evenly from the highest downwards, the lowest left out: it may predict nothing."""
    return sorted({highest - highest * quarter // 4 for quarter in range(4)}, reverse=True)
