"""Units ranked by how much of the next layer's output comes from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.contributions import Blocks, Contributions, blocks_of, contributions
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.hooks import Watcher, readers, watched
from emoprune.problems.networks.coupling.structure import FIXED, Part
from emoprune.problems.networks.criteria.per_unit import averaged, shares

__all__ = ["NextLayerReconstruction"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass over the calibration images",
    papers=[Paper("ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression", "1707.06342")],
)
class NextLayerReconstruction:
    """Mean square of what a unit adds to the outputs of the layers that read it, over all images and places.

    So much, the reading layer's output differs from the unpruned one's when this unit alone goes. Where a group has
    several readers, each one's values are made shares of their sum first, and then averaged. Source: 'ThiNet: A Filter
    Level Pruning Method for Deep Neural Network Compression', 1707.06342, which samples places and removes channels
    greedily; here every place counts and each unit is judged by itself.
    """

    leaf: ClassVar[str] = "filter ranking/activation of the next layer"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return each unit's share of its coupling group's contributions."""
        structure = evidence.structure
        by_reader = {part.path: _by_group(evidence, part) for part in readers(structure)}
        watchers = {
            path: _adding(evidence.network.get_submodule(path), [sums for _, _, sums in own])
            for path, own in by_reader.items()
        }
        with torch.no_grad(), watched(evidence.network, watchers):
            for batch in evidence.calibration.batches:
                evidence.network(batch)
        by_part: list[list[Scores]] = [[] for _ in structure.groups]
        for own in by_reader.values():
            for group, blocks, sums in own:
                by_part[group].append(shares(blocks.by_unit(sums.energies(), structure.units[group])))
        return [averaged(parts, group.units) for parts, group in zip(by_part, structure.groups, strict=True)]


def _by_group(evidence: Evidence, part: Part) -> list[tuple[int, Blocks, Contributions]]:
    """Return for each coupling group that a reader takes in its blocks there, and the sums over them."""
    assert part.incoming is not None  # noqa: S101  # a reader takes channels in; narrows the type
    weight = evidence.network.get_parameter(f"{part.path}.weight").detach()
    groups = np.unique(part.incoming.groups[part.incoming.groups != FIXED]).tolist()
    found = [(group, blocks_of(part, weight, group)) for group in groups]
    return [(group, blocks, contributions(part, blocks)) for group, blocks in found]


def _adding(module: nn.Module, sums: Sequence[Contributions]) -> Watcher:
    def watcher(values: torch.Tensor) -> torch.Tensor:
        rows = values.flatten(0, -2) if isinstance(module, nn.Linear) else values
        for each in sums:
            each.add(module, rows)
        return values

    return watcher
