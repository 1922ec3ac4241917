"""What compensations win back on images they were not solved for: small networks trained on digits, half as wide."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from torch import Tensor, nn

from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.channels.compensations.contract import Compensation
from emoprune.problems.networks.channels.compensations.least_squares import LeastSquares
from emoprune.problems.networks.channels.compensations.merge import Merge
from emoprune.problems.networks.channels.compensations.mfac import MFAC
from emoprune.problems.networks.coupling.pruned_module import pruned_module, tensors_of, with_tensors
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria import mfac
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.criteria.kmeans import KMeans
from emoprune.problems.networks.criteria.norms import L1, L2
from emoprune.problems.networks.criteria.ranking import kept_units
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.scoring import outputs_of
from emoprune.problems.networks.unpruned.training import Schedule, train
from emoprune.records import Split

SEEDS = (0, 1)
KINDS = ("batch norm", "no norm", "layer norm")
cases = pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind in KINDS for seed in SEEDS])


class Normed(nn.Module):
    """A layer norm over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def network(kind: str) -> nn.Module:
    norms = {"batch norm": nn.BatchNorm2d, "layer norm": Normed, "no norm": lambda _channels: nn.Identity()}
    layers: list[nn.Module] = []
    for incoming, outgoing, stride in ((1, 16, 1), (16, 24, 2), (24, 24, 1)):
        layers += [nn.Conv2d(incoming, outgoing, 3, stride, 1), norms[kind](outgoing), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(96, 10))


@cache
def trained(kind: str, seed: int) -> Bench:
    data = digits()
    with seeded(seed):
        made = network(kind)
        for module in made.modules():  # without a norm, torch's own start shrinks what passes from layer to layer
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    train(made, data.train, Schedule(10, peak_rate=0.05), seed)
    structure = trace(made, (1, 8, 8))
    return Bench.load(made.requires_grad_(requires_grad=False), structure, data, 256, "cpu")


def held_out(bench: Bench, made: nn.Module) -> tuple[float, float]:
    """Loss and error on the test part."""
    part = bench.images[Split.TEST]
    outputs = outputs_of(made, part)
    error = float((outputs.argmax(dim=1) != part.labels).double().mean())
    return float(nn.functional.cross_entropy(outputs, part.labels)), error


CRITERIA: dict[str, Criterion] = {"l1": L1(), "l2": L2(), "mfac": mfac.MFAC(), "kmeans": KMeans()}
COMPENSATIONS: dict[str, Compensation | None] = {
    "none": None,
    "least-squares": LeastSquares(),
    "mfac": MFAC(),
    "mfac-separate": MFAC(update="separate"),
    "merge": Merge(),
}


@cache
def halved(kind: str, seed: int, criterion: str, compensation: str = "none") -> tuple[float, float]:
    """Loss and error on the test part at half of every width, nothing trained or estimated afterwards."""
    bench, repair = trained(kind, seed), COMPENSATIONS[compensation]
    evidence = Evidence(bench.network, bench.structure, bench.calibration, seed=0)
    kept = [kept_units(scores, len(scores) // 2) for scores in CRITERIA[criterion](evidence)]
    made = pruned_module(bench.network, bench.structure, kept)
    if repair is not None:
        held, changed = repair.statistics(evidence), {}
        for part in bench.structure.parts:
            changed |= repair.tensors(part, tensors_of(bench.network, part), kept, held)
        made = with_tensors(made, changed)
    return held_out(bench, made)


@cases
def test_the_unpruned_network_has_learnt_something_to_lose(kind: str, seed: int) -> None:
    bench = trained(kind, seed)
    assert held_out(bench, bench.network)[1] < 0.1


@cases
@pytest.mark.parametrize("criterion", ["l1", "l2"])
def test_least_squares_wins_back_a_good_part_of_the_error(kind: str, seed: int, criterion: str) -> None:
    plain, solved = halved(kind, seed, criterion), halved(kind, seed, criterion, "least-squares")
    assert solved[0] < plain[0]
    assert solved[1] < 0.6 * plain[1]


@cases
@pytest.mark.parametrize("magnitude", ["l1", "l2"])
def test_curvature_with_its_update_beats_magnitude_without(kind: str, seed: int, magnitude: str) -> None:
    assert halved(kind, seed, "mfac", "mfac")[0] < halved(kind, seed, magnitude)[0]


@pytest.mark.parametrize("kind", KINDS)
def test_removing_weights_jointly_beats_removing_them_separately_on_average(kind: str) -> None:
    joint, separate = ([halved(kind, seed, "l2", name)[0] for seed in SEEDS] for name in ("mfac", "mfac-separate"))
    assert np.mean(joint) < np.mean(separate)


@pytest.mark.parametrize("kind", KINDS)
def test_merging_beats_removing_on_average(kind: str) -> None:
    merged, removed = ([halved(kind, seed, "kmeans", name)[0] for seed in SEEDS] for name in ("merge", "none"))
    assert np.mean(merged) < np.mean(removed)
