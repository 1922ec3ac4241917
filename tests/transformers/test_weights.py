"""Single weights of transformers zeroed or rounded: every promise of a problem kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from transformers_for_tests import SMALL, language_folder

from emoprune.contracts import Problem
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.weights.bits import TransformerBitWidths
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios
from emoprune.testing import ProblemConformance

FEW = {name: value for name, value in SMALL.items() if name != "levels"}


class Conformance(ProblemConformance):
    genomes: ClassVar[int] = 2
    names: ClassVar[dict[str, str]]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.names = language_folder(tmp_path_factory.mktemp("model"))


@pytest.mark.slow
class TestRatios(Conformance):
    def problem(self) -> Problem:
        return TransformerWeightRatios(**self.names, **FEW, shares=[0.25, 0.5, 1.0])


@pytest.mark.slow
class TestBits(Conformance):
    def problem(self) -> Problem:
        return TransformerBitWidths(**self.names, **FEW, bits=[3, 6, 32])


def ready(place: Path, **more: Any) -> TransformerWeightRatios:
    made = TransformerWeightRatios(**{**language_folder(place), **FEW, **more})
    made.prepare(place / "kept", 1)
    made.setup("cpu", 1)
    return made


def test_weights_that_meet_small_inputs_go_first(tmp_path: Path) -> None:
    problem = ready(tmp_path, saliency="input-scaled", shares=[0.5, 1.0])
    genome = problem.space.full.copy()
    genome[0] = 0
    path = problem.space.names[0]
    model = problem.loaded.narrower.narrowed(problem.plans(genome))
    weight, whole = (each.get_submodule(path).weight for each in (model, problem.open().task.model))
    norms: list[torch.Tensor] = []
    handle = (
        problem.open()
        .task.model.get_submodule(path)
        .register_forward_pre_hook(lambda _module, taken: norms.append(taken[0].flatten(0, 1).double().square().sum(0)))
    )
    for batch in problem.open().task.parts["calibration"]:
        problem.open().task.run(problem.open().task.model, batch)
    handle.remove()
    scores = whole.abs() * torch.stack(norms).sum(0).sqrt().float()
    kept = weight != 0
    assert int(kept.sum()) == whole.numel() // 2
    assert scores[kept].min() >= scores[~kept].max()


def test_the_output_layer_and_what_is_ignored_stay_as_they_are(tmp_path: Path) -> None:
    problem = ready(tmp_path, ignore=["*.q_proj", "*.mlp.*"])
    assert all(name.endswith(("k_proj", "v_proj", "o_proj")) for name in problem.space.names)
    inspected = problem.inspect()
    assert "embeddings and an output layer tied to them" in inspected.notes[-1]
    assert inspected.summary["kv-bytes smallest"] == f"{problem.counted(problem._whole)['kv-bytes']:,.0f} (100.0%)"


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"saliency": "charm"}, "saliency: no saliency is called 'charm'"),
        ({"shares": [0.5, 0.2, 1.0]}, "shares: expected rising numbers"),
        ({"ignore": ["*"]}, "all linear layers of the model's stack are in it"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(more: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        TransformerWeightRatios(**{**language_folder(tmp_path), **FEW, **more})


def test_the_same_seed_draws_the_same_random_weights(tmp_path: Path) -> None:
    problem = ready(tmp_path, saliency="random", shares=[0.5, 1.0])
    one, other = problem.ranks(), problem.ranks()
    assert all(torch.equal(one[path], other[path]) for path in one)
    paths = list(one)
    assert not torch.equal(one[paths[0]], one[paths[7]])
    assert np.unique(one[paths[0]].numpy()).size == one[paths[0]].numel()
