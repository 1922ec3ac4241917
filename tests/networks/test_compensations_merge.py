"""Merging: duplicated units cost nothing at their true number, whatever batch norm made of their scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.channels.compensations.contract import Compensation
from emoprune.problems.networks.channels.compensations.merge import Merge
from emoprune.problems.networks.coupling.pruned_module import pruned_module, tensors_of, with_tensors
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.criteria.kmeans import KMeans
from emoprune.problems.networks.criteria.norms import L1
from emoprune.problems.networks.criteria.ranking import kept_units
from emoprune.problems.networks.evaluation.scoring import LoadedImages

TRUE = 5  # different units in each of the first two layers; three more repeat some of them
COPIES = [0, 1, 2, 3, 4, 1, 1, 3]


class Repeating(nn.Module):
    """Two convolutions and a linear layer, in which three of eight units repeat others up to a positive factor."""

    def __init__(self, *, norm: bool, factor: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, bias=not norm)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)
        with torch.no_grad():
            for conv in (self.first, self.second):
                conv.weight.copy_(conv.weight[COPIES])
                if conv.bias is not None:
                    conv.bias.copy_(conv.bias[COPIES])
            if isinstance(self.norm, nn.BatchNorm2d):
                for tensor, (low, high) in {
                    self.norm.weight: (0.5, 2.0),
                    self.norm.bias: (-0.3, 0.3),
                    self.norm.running_mean: (-0.3, 0.3),
                    self.norm.running_var: (0.5, 2.0),
                }.items():
                    assert tensor is not None
                    tensor.copy_(nn.init.uniform_(torch.empty(8), low, high)[COPIES])
            scaled = self.norm if isinstance(self.norm, nn.BatchNorm2d) else self.first
            for tensor in (scaled.weight, scaled.bias):
                assert tensor is not None
                tensor[5:] *= factor  # what follows the ReLU is this much larger in the copies

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.second(torch.relu(self.norm(self.first(images)))))
        return self.head(features.mean([2, 3]))


def evidence_of(*, norm: bool, factor: float = 1.0) -> Evidence:
    with seeded(4):
        network = Repeating(norm=norm, factor=factor).eval()
        images = torch.randn(40, 1, 8, 8)
    structure = trace(network, (1, 8, 8))
    network.requires_grad_(requires_grad=False)
    return Evidence(network, structure, LoadedImages((images,), torch.arange(40) % 3), seed=0)


def changed_outputs(evidence: Evidence, kept: Kept, compensation: Compensation | None) -> float:
    """The largest change of an output, as a share of the largest output."""
    made = pruned_module(evidence.network, evidence.structure, kept)
    if compensation is not None:
        held = compensation.statistics(evidence)
        for part in evidence.structure.parts:
            own = tensors_of(evidence.network, part)
            made = with_tensors(made, compensation.tensors(part, own, kept, held))
    with torch.no_grad():
        wanted = evidence.network(evidence.calibration.batches[0])
        found = made(evidence.calibration.batches[0])
    return float((found - wanted).abs().max() / wanted.abs().max())


def kept_by(criterion: Criterion, evidence: Evidence, width: int) -> Kept:
    return [kept_units(scores, width) for scores in criterion(evidence)]


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("factor", [1.0, 3.0, 0.2])
def test_duplicated_units_are_lossless_at_their_true_number_and_l1_is_not(norm: bool, factor: float) -> None:
    evidence = evidence_of(norm=norm, factor=factor)
    kept = kept_by(KMeans(), evidence, TRUE)
    assert changed_outputs(evidence, kept, Merge()) < 1e-5
    assert changed_outputs(evidence, kept, None) > 0.01
    assert changed_outputs(evidence, kept_by(L1(), evidence, TRUE), None) > 0.01


def test_one_unit_less_than_the_true_number_costs_something() -> None:
    evidence = evidence_of(norm=True)
    assert changed_outputs(evidence, kept_by(KMeans(), evidence, TRUE - 1), Merge()) > 1e-3


def test_weights_go_to_the_kept_unit_most_like_the_removed_one() -> None:
    evidence = evidence_of(norm=False, factor=3.0)
    part, held = evidence.structure.part("second"), Merge().statistics(evidence)
    kept = [np.array([0, 1, 2, 3, 4, 5, 6]), np.arange(8)]  # unit 7 is three times unit 3
    own = tensors_of(evidence.network, part)
    changed = Merge().tensors(part, own, kept, held)
    weight = own["second.weight"]
    expected = weight[:, :7].clone()
    expected[:, 3] += 3.0 * weight[:, 7]
    torch.testing.assert_close(changed["second.weight"], expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(changed["second.bias"], own["second.bias"], atol=1e-5, rtol=1e-4)


def test_a_shift_goes_to_the_bias_of_the_layer_that_reads_it() -> None:
    with seeded(1):
        network = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).eval()
        images = torch.randn(50, 4)
    first = network[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():
        first.weight[2] = 2.0 * first.weight[0]
        first.bias[2] = 2.0 * first.bias[0] + 5.0  # no multiple: 5 more than twice as much
    structure = trace(network, (4,))
    network.requires_grad_(requires_grad=False)
    evidence = Evidence(network, structure, LoadedImages((images,), torch.arange(50) % 2), seed=0)
    assert changed_outputs(evidence, [np.array([0, 1])], Merge()) < 1e-5


def test_constant_units_go_to_the_bias() -> None:
    evidence = evidence_of(norm=False)
    with torch.no_grad():
        evidence.network.get_parameter("second.weight")[6] = 0.0
        evidence.network.get_parameter("second.bias")[6] = 2.0
    assert changed_outputs(evidence, [np.arange(8), np.array([0, 1, 2, 3, 4, 5, 7])], Merge()) < 1e-5
