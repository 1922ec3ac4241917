"""A small instance of the problem of sub-networks, on which methods are tried: its parts are not searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.contracts import Failure, Problem
from emoprune.contracts.stages import Concluded
from emoprune.problems.networks.subnetworks.problem import Subnetworks
from emoprune.problems.networks.unpruned.built_in.sample import SAMPLE, beside
from emoprune.records import Split

__all__ = ["sample"]


class _Prepared(Subnetworks):
    """The problem with parts of which nothing but their references was measured."""

    def prepare(self, folder: Path, seed: int) -> None:
        """Prepare it, and conclude its stages."""
        super().prepare(folder, seed)
        self.setup("cpu", 1)
        stages = self.following({}, folder, seed).stages
        self.following({stage.name: _concluded(self.stage(stage.name)) for stage in stages}, folder, seed)


def _concluded(part: Problem) -> Concluded:
    references = part.references()
    genomes = np.stack([each.genome for each in references])
    seeds = np.zeros(len(genomes), dtype=np.uint64)
    columns = len(part.objectives)
    search, select = (
        np.array([[np.nan] * columns if isinstance(row, Failure) else row for row in rows], dtype=np.float64)
        for rows in (part.evaluate(genomes, seeds, split) for split in (Split.SEARCH, Split.SELECT))
    )
    return Concluded(np.arange(len(genomes)), genomes, search, select, [each.name for each in references])


def sample(objectives: Sequence[str | Mapping[str, Any]] = (), **options: Any) -> Subnetworks:
    """Return a problem of two parts; error and macs are measured beside other `objectives`."""
    small = {**SAMPLE, "widths": 4, "criterion": "l1", "references": ["uniform"], "objectives": beside(objectives)}
    return _Prepared(**{**small, **options})
