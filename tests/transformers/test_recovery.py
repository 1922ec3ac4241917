"""Winning back what pruning cost: every method lowers the loss, and rewinding is what it is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers_for_tests import SMALL, language_folder

from emoprune.contracts import Recovered
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.recovery.rewinding import rewound
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios
from emoprune.records import Split

SEEDS = np.zeros(1, dtype=np.uint64)


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> HeadsAndNeurons:
    place = tmp_path_factory.mktemp("place")
    made = HeadsAndNeurons(**language_folder(place), **SMALL, references=["uniform"], objectives=["perplexity", "macs"])
    made.prepare(place / "kept", 1)
    made.setup("cpu", 1)
    return made


def recovered(problem: Any, genome: Any, folder: Path, **options: Any) -> Recovered:
    folder.mkdir()
    found: Recovered = problem.recover(genome, folder, 1, **options)
    return found


@pytest.mark.usefixtures("unverified")
@pytest.mark.parametrize("method", ["finetune", "distil", "lora", "rewind-rate", "rewind-weights"])
def test_training_lowers_the_perplexity_and_leaves_the_unpruned_model_alone(
    method: str, problem: HeadsAndNeurons, tmp_path: Path
) -> None:
    genome = problem.references()[2].genome
    before = {name: tensor.clone() for name, tensor in problem.open().task.model.state_dict().items()}
    (pruned, macs) = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]  # type: ignore[misc]  # no failure
    found = recovered(problem, genome, tmp_path / method, method=method, epochs=0.5, rate=5e-3)
    assert found.values["test"]["perplexity"] < 0.8 * pruned
    assert found.values["test"]["macs"] <= macs
    assert found.description["steps"] > 0
    assert found.description["method"] == method
    after = problem.open().task.model.state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


@pytest.mark.usefixtures("unverified")
def test_a_repair_in_turn_takes_no_steps(problem: HeadsAndNeurons, tmp_path: Path) -> None:
    genome = problem.references()[2].genome
    found = recovered(problem, genome, tmp_path / "repaired", method="least-squares")
    assert found.description["steps"] == 0
    assert set(found.values) == {"search", "select", "test"}


@pytest.mark.usefixtures("unverified")
@pytest.mark.parametrize("method", ["finetune", "rewind-rate"])
def test_zeros_stay_zero_while_the_other_weights_are_trained(method: str, tmp_path: Path) -> None:
    few = {name: value for name, value in SMALL.items() if name != "levels"}
    problem = TransformerWeightRatios(**language_folder(tmp_path), **few, pattern="n:m", saliency="magnitude")
    problem.prepare(tmp_path / "kept", 1)
    problem.setup("cpu", 1)
    genome = next(each.genome for each in problem.references() if each.name == "uniform-2-of-4")
    (pruned, parameters) = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]  # type: ignore[misc]  # no failure
    found = recovered(problem, genome, tmp_path / method, method=method, epochs=0.5, rate=5e-3)
    assert found.values["test"]["perplexity"] < 0.9 * pruned
    assert found.values["test"]["parameters"] == parameters
    from safetensors.torch import load_file

    weights = load_file(tmp_path / method / "model.safetensors")
    down = weights["model.layers.0.mlp.down_proj.weight"]
    assert ((down.view(32, 12, 4) != 0).sum(dim=-1) <= 2).all()


class Relu(nn.Module):
    """a relu(w·x): what rewinding is told apart by."""

    def __init__(self, weights: torch.Tensor, out: float) -> None:
        super().__init__()
        self.w = nn.Parameter(weights.clone())
        self.a = nn.Parameter(torch.tensor(out))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.a * torch.relu(rows @ self.w)


def learns_one_unit(seed: int, *, weights: bool) -> bool:
    """Whether relu(x1) is learnt with one of ten weights left that begins with the wrong sign."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(400, 10, generator=generator)
    wanted = torch.relu(rows[:, 0])
    start = torch.randn(10, generator=generator) * 0.3
    start[0] = -start[0].abs() - 0.1
    model = Relu(start, 0.5)

    def train(own: Any, masks: Any) -> None:
        optimiser = torch.optim.SGD(own.parameters(), lr=0.05)
        for _ in range(600):
            loss = (own(rows) - wanted).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            with torch.no_grad():
                for name, mask in masks.items():
                    own.get_parameter(name).masked_fill_(mask, 0.0)

    def masks_of(own: Any, share: float) -> dict[str, torch.Tensor]:
        order = torch.argsort(own.w.detach().abs())
        mask = torch.zeros(10, dtype=torch.bool)
        mask[order[: round(9 * share)]] = True
        return {"w": mask}

    rewound(model, 1, masks_of, train, weights=weights)
    return float((model(rows) - wanted).square().mean()) < 1e-3


def test_learning_rate_rewinding_keeps_the_signs_that_weight_rewinding_throws_away() -> None:
    assert [learns_one_unit(seed, weights=False) for seed in range(4)] == [True] * 4
    assert [learns_one_unit(seed, weights=True) for seed in range(4)] == [False] * 4


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"method": "prayer"}, "method: no recovery is called 'prayer'"),
        ({"method": "rewind-rate", "rounds": 0}, "rounds: expected 1 or more"),
        ({"method": "distil", "weight": 1.5}, "the teacher's share, from 0 to 1"),
        ({"method": "lora", "rank": 0}, "rank: expected 1 or more, found 0"),
        ({"epochs": 0}, "epochs: expected a number above 0"),
    ],
)
def test_what_no_recovery_can_be_made_of_is_refused(
    options: dict[str, Any], complaint: str, problem: HeadsAndNeurons, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        problem.recover(problem.references()[1].genome, tmp_path, 1, **options)


def test_training_that_diverges_is_refused(problem: HeadsAndNeurons, tmp_path: Path) -> None:
    genome = problem.references()[1].genome
    with pytest.raises(ConfigError, match=r"diverged|not finite"):
        recovered(problem, genome, tmp_path / "rate", method="finetune", rate=1e30, epochs=0.3)
