"""Networks of the zoo with half of their channels, exported; and a process of a stranger who has no emoprune."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from zoo_for_tests import images_for, structure_of_zoo, zoo

from emoprune.contracts import Description
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.scoring import LoadedImages, outputs_of
from emoprune.problems.networks.export.export import export
from emoprune.problems.networks.variant import Variant
from emoprune.space import IntArray

TEST = images_for(100, 3)


@dataclass(frozen=True, slots=True, eq=False)
class Halved:
    """A network and the same one with the last half of every coupling group's units cut off."""

    unpruned: nn.Module
    structure: Structure
    pruned: nn.Module
    kept: list[IntArray]

    @property
    def counted(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        model = CostModel.of(self.unpruned, self.structure)
        widths = [np.array([[len(units) for units in self.kept]]), np.array([self.structure.units])]
        pruned, unpruned = (
            {"macs": float(model.macs(each)[0]), "parameters": float(model.parameters(each)[0])} for each in widths
        )
        return pruned, unpruned

    def export(
        self,
        folder: Path,
        formats: Sequence[str] = ("safetensors",),
        *,
        source: str = "zoo_for_tests:network",
        verify: bool = True,
        test: LoadedImages = TEST,
    ) -> Description:
        return export(
            folder,
            source=source,
            networks=(Variant(self.pruned, {}, adapted=False), self.unpruned),
            structure=self.structure,
            kept=self.kept,
            test=test,
            counted=self.counted,
            described={"stem": "4 of 8"},
            formats=formats,
            verify=verify,
            notes=["It was pruned for a test."],
        )


def halved(network: nn.Module, structure: Structure) -> Halved:
    kept = [np.arange(max(1, units // 2)) for units in structure.units]
    return Halved(network, structure, pruned_module(network, structure, kept), kept)


def halved_zoo(name: str) -> Halved:
    return halved(zoo(name), structure_of_zoo(name))


def halved_own(network: nn.Module, test: LoadedImages = TEST) -> Halved:
    """Return a network that is not of the zoo, halved; in eval mode, without gradients."""
    made = network.eval().requires_grad_(requires_grad=False)
    return halved(made, trace(made, tuple(test.batches[0].shape[1:])))


def wrong_labels(network: nn.Module, images: LoadedImages = TEST) -> int:
    return int((outputs_of(network, images).argmax(dim=1) != images.labels).sum())


def as_a_stranger(program: str, folder: Path, *arguments: str) -> str:
    """Run a program in `folder` without emoprune and return what it printed."""
    without = f"import sys; sys.modules['emoprune'] = None\n{program}"
    command = [sys.executable, "-c", without, *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def places_of_this_computer() -> list[bytes]:
    """Return folders whose names must not be in what is handed on."""
    return [str(Path(module.__file__ or "").parent).encode() for module in (torch, np)] + [str(Path.cwd()).encode()]
