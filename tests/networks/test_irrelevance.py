"""Decay by irrelevance: plain weight decay where nothing is relevant, and what the loss needs is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_for_tests import copied, prepared
from torch import nn

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.irrelevance import DecayingLessons, bisected_threshold, irrelevance
from emoprune.problems.networks.recovery.rounds.stage import train_stage
from emoprune.testing import conformance

UNVERIFIED = pytest.mark.usefixtures("unverified")
TestIrrelevanceDecay = conformance(
    "recovery",
    "irrelevance-decay",
    "weight-ratios",
    shared={"epochs": 1, "formats": ["safetensors"]},
    sample=classmethod(copied),
    pytestmark=UNVERIFIED,
)
TestIrrelevance = conformance(
    "reference", "irrelevance", "weight-ratios", options={"epochs": 1}, sample=classmethod(copied)
)


class Rows:
    """The sum of the first four of twelve columns; the others are noise."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(256, 12, generator=generator)
        self.inputs[:, 4:] *= 0.03  # so faint that the loss hardly depends on what they are multiplied by
        self.targets = self.inputs[:, :4].sum(dim=1, keepdim=True)
        self.plan, self.each, self.of_training = Plan(60, 0.05, weight_decay=0.3), 4, True

    def epoch(self, order: torch.Generator) -> list[torch.Tensor]:
        return list(torch.randperm(256, generator=order).tensor_split(4))

    def loss(self, model: Any, batch: torch.Tensor, order: torch.Generator) -> tuple[torch.Tensor, int]:
        return (model(self.inputs[batch]) - self.targets[batch]).square().mean(), len(batch)

    def optimiser(self, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=self.plan.weight_decay)

    def score(self, model: Any) -> tuple[float, ...]:
        return (float((model(self.inputs) - self.targets).detach().square().mean()),)


def network() -> nn.Linear:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Linear(12, 1)


def test_where_irrelevance_is_one_it_is_decoupled_weight_decay_bit_for_bit() -> None:
    ours, plain, lessons = network(), network(), Rows()
    decaying = DecayingLessons(lessons, 0.3, torch.ones_like)
    train_stage(ours, decaying, 20, 1)
    optimiser, order = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9), torch.Generator().manual_seed(1)
    queue: list[torch.Tensor] = []
    for step in range(20):
        queue = queue or lessons.epoch(order)[::-1]
        rate = lessons.plan.rate(step, 20)
        optimiser.param_groups[0]["lr"] = rate
        loss, _ = lessons.loss(plain, queue.pop(), order)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), lessons.plan.clip)
        with torch.no_grad():
            for own in plain.parameters():
                own.mul_(1 - rate * 0.3)
        optimiser.step()
    assert torch.equal(ours.weight, plain.weight)
    assert torch.equal(ours.bias, plain.bias)


def trained(decay: float, weighing: Any) -> tuple[float, float]:
    """Return how large noise weights are beside signal ones after training, and the loss."""
    model = network()
    train_stage(model, DecayingLessons(Rows(), decay, weighing), 120, 1)
    sizes = model.weight.detach().abs()[0]
    return float(sizes[4:].mean() / sizes[:4].mean()), Rows().score(model)[0]


def test_noise_inputs_shrink_faster_than_signal_ones_at_no_more_loss() -> None:
    noise, loss = trained(0.3, irrelevance)
    plain, plain_loss = trained(0.05, torch.ones_like)
    _, strong_loss = trained(0.3, torch.ones_like)
    assert noise < 0.8 * plain
    assert loss < 2 * plain_loss + 0.01
    assert loss < strong_loss / 2


def test_irrelevance_is_one_without_a_gradient_and_falls_with_it() -> None:
    found = irrelevance(torch.tensor([0.0, 1.0, 3.0]))
    assert found[0] == 1
    assert found[0] > found[1] > found[2] > 0
    assert torch.equal(irrelevance(torch.zeros(3)), torch.ones(3))


def layer(*weights: float) -> nn.Linear:
    model = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([weights]))
    return model


def test_the_largest_threshold_within_the_tolerance_is_found_where_the_loss_rises_with_it() -> None:
    model = layer(0.1, -0.2, 0.3, 0.4)

    def score(own: nn.Linear) -> float:
        return float((own.weight == 0).sum())

    found = bisected_threshold(model, ["weight"], score, 2.0)
    assert found.value == pytest.approx(0.3, abs=1e-6)
    assert (found.lost, found.monotone) == (2.0, True)
    assert torch.equal(model.weight, layer(0.1, -0.2, 0.3, 0.4).weight)
    assert bisected_threshold(model, ["weight"], score, 0.0).value == pytest.approx(0.1, abs=1e-6)


def test_a_loss_that_does_not_rise_with_the_threshold_is_told_of() -> None:
    def score(own: nn.Linear) -> float:
        return abs(float(own.weight.detach().sum()))

    assert not bisected_threshold(layer(0.1, -0.2, 0.3, 0.4), ["weight"], score, 0.05).monotone


@UNVERIFIED
def test_a_candidate_keeps_its_zeros_while_the_rest_decays(tmp_path: Path) -> None:
    made = prepared(plugins.find("sample", "weight-ratios")(), tmp_path / "kept")
    genome = made.references()[-1].genome
    (tmp_path / "out").mkdir()
    method = {"name": "irrelevance-decay", "decay": 1.0}
    found = made.recover(genome, tmp_path / "out", 1, method=method, epochs=1, formats=["safetensors"])
    counted = made._levels.counted(genome[np.newaxis], made._task.measures.unpruned)[0]
    assert found.values["test"]["macs"] == counted["macs"]
    assert found.description["epochs"] == 1.0


@pytest.mark.parametrize(
    ("kind", "given", "complaint"),
    [
        ("recovery", {"name": "irrelevance-decay", "decay": -1}, "decay: expected 0 or a positive number"),
        ("reference", {"name": "irrelevance", "tolerances": [1, 1]}, "tolerances: expected percentages"),
        ("reference", {"name": "irrelevance", "decay": -1}, "decay: expected 0 or a positive number"),
    ],
)
def test_options_that_cannot_be_are_refused(kind: str, given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        plugins.method(kind, given, "weight-ratios")
