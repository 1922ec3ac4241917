"""Ratios trained from initialisation: of the trained weights nothing is used, and good ratios are worth more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from digits_for_tests import digits_bench, digits_data
from methods_for_tests import copied, prepared
from safetensors.torch import load_file

from emoprune import plugins
from emoprune.problems.networks.channels.references.ratios import erk_densities
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.rounds import WeightRounds
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.ratios import WeightShares
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.masks.sparse_training import train_sparse
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.images import ImageLessons
from emoprune.records import Split
from emoprune.testing import conformance

UNVERIFIED = pytest.mark.usefixtures("unverified")
TestSparseTraining = conformance(
    "recovery",
    "sparse-training",
    "weight-ratios",
    shared={"epochs": 1, "formats": ["safetensors"]},
    sample=classmethod(copied),
    pytestmark=UNVERIFIED,
)


@UNVERIFIED
@pytest.mark.parametrize("which", ["random", "smallest-first"])
def test_ratios_are_kept_exactly_and_weights_are_drawn_anew(which: str, tmp_path: Path) -> None:
    made = prepared(plugins.find("sample", "weight-ratios")(pattern="n:m", m=2), tmp_path / "kept")
    genome = made.references()[-1].genome
    (tmp_path / "out").mkdir()
    method = {"name": "sparse-training", "which": which}
    made.recover(genome, tmp_path / "out", 7, method=method, epochs=0.1, rate=1e-9, formats=["safetensors"])
    weight = load_file(tmp_path / "out" / "model.safetensors")["second.0.weight"]
    unpruned = made._loaded.bench.network.get_parameter("second.0.weight")
    pairs, before = (own.movedim(1, -1).reshape(-1, 2) for own in (weight, unpruned))
    assert ((pairs != 0).sum(dim=1) == 1).all()
    assert not (pairs == before)[pairs != 0].any()
    same = (pairs != 0) == (before.abs() == before.abs().amax(dim=1, keepdim=True))
    assert bool(same.all()) == (which == "smallest-first")


@pytest.mark.slow
def test_good_ratios_are_worth_more_than_equal_ones_where_the_weights_are_drawn() -> None:
    bench, data = digits_bench(), digits_data()
    names = [name for name, own in bench.network.named_parameters() if own.ndim > 1]
    shapes = [tuple(bench.network.get_parameter(name).shape) for name in names]
    sizes = np.array([np.prod(shape) for shape in shapes], dtype=np.float64)
    shares = (*(step / 1000 for step in range(1, 1000)), 1.0)
    layers = [
        (Part(name.removesuffix(".weight"), "Conv2d" if len(shape) == 4 else "Linear", None, None, positions=1), shape)
        for name, shape in zip(names, shapes, strict=True)
    ]
    levels = LayerLevels.of(layers, WeightShares(shares))
    erk = erk_densities(sizes, [sum(shape) for shape in shapes], 0.02)
    alike = np.full(len(sizes), 0.02)
    found: dict[str, float] = {}
    lessons = ImageLessons(TrainingImages.load(data.train, "cpu"), Plan(12, 0.1), bench.images[Split.SELECT])
    for name, kept, which in (("erk", erk, "random"), ("erk", erk, "smallest-first"), ("alike", alike, "random")):
        wanted = levels.decode(levels.keeping(kept * sizes)[np.newaxis])[0]
        scores = []
        for seed in range(2):
            pruned = WeightRounds(bench.network, levels, wanted)
            train_sparse(pruned, lessons, which, seed)  # type: ignore[arg-type]  # one of two words
            scores.append(lessons.score(pruned.model)[0])
        found[f"{name}, {which}"] = float(np.mean(scores))
    assert found["erk, random"] < found["alike, random"], found


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    made = prepared(plugins.find("sample", "weight-ratios")(), tmp_path / "kept")
    loaded, levels = made._loaded, made._levels
    wanted = levels.decode(made.references()[-1].genome[np.newaxis])[0]
    lessons = ImageLessons(
        TrainingImages.load(made._task.data.train, "cpu"), Plan(0.3, 0.1), loaded.bench.images[Split.SELECT]
    )
    states = []
    for seed in (1, 1, 2):
        pruned = WeightRounds(loaded.bench.network, levels, wanted)
        train_sparse(pruned, lessons, "random", seed)
        states.append(pruned.model.get_parameter("second.0.weight").detach())
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
