"""Winning back what pruning cost: every method lowers the loss, and no other weight is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers_for_tests import SMALL, language_folder

from emoprune.contracts import Recovered
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.recovery.lessons import TextLessons
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
@pytest.mark.parametrize("method", ["finetune", "distil", "lora", "rewind-rate", "rewind-weights", "soft-mask"])
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
@pytest.mark.parametrize("method", ["finetune", "rewind-rate", "soft-mask"])
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


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.usefixtures("unverified")
def test_rounds_that_were_killed_go_on_to_the_same_bits(
    problem: HeadsAndNeurons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genome, within, asked = problem.references()[2].genome, TextLessons.loss, [0]
    method = {"name": "rewind-weights", "rounds": 2, "step": 1}

    def killed(*given: Any) -> Any:
        asked[0] += 1
        if asked[0] == 12:
            raise Killed
        return within(*given)

    monkeypatch.setattr(TextLessons, "loss", killed)
    with pytest.raises(Killed):
        recovered(problem, genome, tmp_path / "killed", method=method, epochs=0.6, rate=5e-3)
    asked[0] = 100
    found = recovered(problem, genome, tmp_path / "resumed", method=method, epochs=0.6, rate=5e-3)
    problem._folder, kept = None, problem._folder
    whole = recovered(problem, genome, tmp_path / "whole", method=method, epochs=0.6, rate=5e-3)
    problem._folder = kept
    assert found.values == whole.values
    assert found.description["seen"] == whole.description["seen"]
    assert found.description["forward macs"] > 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"method": "prayer"}, "method: no recovery is called 'prayer'"),
        ({"method": "rewind-rate", "rounds": 0}, "rounds: expected 1 or more"),
        ({"method": {"name": "rewind-weights", "step": -1}}, "step: expected 0 or more steps of the first training"),
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
