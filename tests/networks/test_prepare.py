"""What problems on networks make once per run, keep in its folder and take up again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.storage.arrays import Weights, load_weights, save_weights
from emoprune.records import Split

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}


@pytest.mark.parametrize(
    ("problem", "files"),
    [
        (
            lambda: Channels(**SMALL, precision="auto", compensation="least-squares"),
            ["scores.safetensors", "statistics.safetensors", "references.json", "precision.json"],
        ),
        (
            lambda: WeightRatios(**SMALL, precision="auto"),
            ["ranks-magnitude.safetensors", "references.json", "precision.json"],
        ),
    ],
)
def test_a_problem_keeps_what_it_made_and_refuses_what_was_cut_off(
    tmp_path: Path, problem: Any, files: list[str]
) -> None:
    problem().prepare(tmp_path, 1)
    made = {name: (tmp_path / name).read_bytes() for name in files}
    problem().prepare(tmp_path, 1)
    assert {name: (tmp_path / name).read_bytes() for name in files} == made
    for name in files:
        (tmp_path / name).write_bytes(made[name][: len(made[name]) // 2])
        with pytest.raises(ConfigError, match=f"{name} .*remove it and it is made again"):
            problem().prepare(tmp_path, 1)
        (tmp_path / name).write_bytes(made[name])


def test_compensations_use_the_statistics_that_were_kept_not_new_ones(tmp_path: Path) -> None:
    def rows(problem: Channels) -> Any:
        problem.prepare(tmp_path, 1)
        problem.setup("cpu", 1)
        narrow = np.zeros((1, len(problem.space)), dtype=np.int64)
        return problem.evaluate(narrow, np.zeros(1, dtype=np.uint64), Split.SEARCH)

    def problem() -> Channels:
        return Channels(**SMALL, compensation="least-squares", objectives=["loss", "macs"])

    first = rows(problem())
    path = tmp_path / "statistics.safetensors"
    kept = dict(load_weights(path))
    changed: Weights = {name: array * np.linspace(1, 2, array.shape[-1]) for name, array in kept.items()}
    save_weights(path, changed, {})
    assert rows(problem()) != first
