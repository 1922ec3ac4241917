"""Flatness and membership risk: objectives beside error and cost, held against what is known exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.channels.audits.membership import shadow_auc
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.channels.sample import sample
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.kfac import KFAC
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.evaluation.hessian import top_eigenvalue
from emoprune.problems.networks.evaluation.members import members_of
from emoprune.problems.networks.evaluation.objectives.contract import Scored, Seen
from emoprune.problems.networks.evaluation.objectives.flatness import Flatness
from emoprune.problems.networks.evaluation.objectives.membership_risk import MembershipRisk, attack_auc, losses_of
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.problems.networks.unpruned.built_in.sample import few_digits
from emoprune.records import Candidate, Split


def small(scale: float = 1.0) -> tuple[nn.Module, LoadedImages]:
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    images = torch.randn((20, 3), generator=generator, dtype=torch.float64)
    return network, LoadedImages((images[:12], images[12:]), torch.arange(20) % 3)


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_top_eigenvalue_is_that_of_the_dense_hessian(scale: float) -> None:
    network, images = small(scale)
    shapes = {name: own.shape for name, own in network.named_parameters()}
    flat = torch.cat([own.detach().reshape(-1) for own in network.parameters()])

    def loss(values: torch.Tensor) -> torch.Tensor:
        parts = torch.split(values, [shape.numel() for shape in shapes.values()])
        weights = {name: own.view(shape) for (name, shape), own in zip(shapes.items(), parts, strict=True)}
        outputs = torch.func.functional_call(network, weights, (torch.cat(images.batches),))
        return nn.functional.cross_entropy(outputs, images.labels)

    dense = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat))  # type: ignore[no-untyped-call]
    found = top_eigenvalue(network, images, 3000, 1e-12)
    assert found == pytest.approx(float(dense[-1]), rel=1e-6)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_network_whose_loss_does_not_bend_is_flat() -> None:
    network, images = small(0.0)
    with torch.no_grad():
        network[2].bias.copy_(torch.tensor([1e4, 0.0, 0.0]))  # type: ignore[operator, union-attr]
    assert top_eigenvalue(network, LoadedImages(images.batches, images.labels * 0), 50, 1e-6) == pytest.approx(0.0)


def test_factored_curvature_of_one_linear_layer_is_the_exact_rise_of_its_quadratic_model() -> None:
    generator = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
    structure = trace(network, (4,))
    network = network.double()
    images = torch.randn((30, 4), generator=generator, dtype=torch.float64)
    evidence = Evidence(network, structure, LoadedImages((images,), torch.arange(30) % 3), 1)
    [scores] = KFAC()(evidence)
    hidden: Any = network[0](images).detach().requires_grad_()
    loss = nn.functional.cross_entropy(network[1](hidden), torch.arange(30) % 3, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, hidden)
    read = hidden.detach().square().mean(dim=0)  # w A w is the mean square of what the unit puts out
    np.testing.assert_allclose(scores, (read * gradient.square().mean(dim=0) / 2).numpy(), rtol=1e-10)


# ---- membership


def test_an_attack_on_equal_losses_is_chance_and_on_separate_ones_certain() -> None:
    rng = np.random.default_rng(0)
    assert attack_auc(np.zeros(5), np.ones(7)) == 1.0
    assert attack_auc(np.ones(5), np.zeros(7)) == 0.0
    assert attack_auc(np.ones(5), np.ones(7)) == 0.5
    values = rng.random(3000)
    assert attack_auc(values[:1500], values[1500:]) == pytest.approx(0.5, abs=0.03)


def overfit(network: nn.Module, data: ImageData, steps: int) -> None:
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    images, labels = torch.from_numpy(data.train.images), torch.from_numpy(data.train.labels)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()


def test_an_overfit_network_gives_its_members_away_and_shuffled_membership_does_not() -> None:
    data = few_digits()
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    overfit(network, data, 60)
    with torch.no_grad():
        losses = [
            losses_of(network(torch.from_numpy(own.images)), torch.from_numpy(own.labels))
            for own in (data.train, data.test)
        ]
    assert attack_auc(*losses) > 0.6
    rng, every = np.random.default_rng(0), np.concatenate(losses)
    shuffled = [attack_auc(*np.split(rng.permutation(every), [len(losses[0])])) for _ in range(200)]
    assert np.mean(shuffled) == pytest.approx(0.5, abs=0.02)


def prepared(path: Path, **options: Any) -> Channels:
    problem: Any = sample(**options)
    problem.prepare(path, 1)
    problem.setup("cpu", 1)
    return problem  # type: ignore[no-any-return]  # a sample is a problem


def test_a_third_objective_stands_in_every_row(tmp_path: Path) -> None:
    problem = prepared(tmp_path, objectives=["membership-risk", {"name": "flatness", "iterations": 3}])
    names = [own.name for own in problem.objectives]
    row: Any = problem.evaluate(problem.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0]
    values = dict(zip(names, row, strict=True))
    assert 0.5 <= values["membership-risk"] <= 1
    assert np.isfinite(values["flatness"])


def test_members_that_are_measured_on_are_refused(tmp_path: Path) -> None:
    bench = prepared(tmp_path)._loaded.bench
    assert members_of(bench) is bench.calibration
    images = {**bench.images, Split.TEST: bench.calibration}
    with pytest.raises(ConfigError, match=r"16 of the images of test are training images, too"):
        members_of(replace(bench, images=images))


def test_the_audit_attacks_with_other_images_and_shadows_and_a_dense_network_stands_beside(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    candidates = [Candidate(number, problem.space.full * 0 + number, 0, "found") for number in (0, 1)]
    method = {"name": "membership-risk", "shadows": 2, "epochs": 1.0}
    found = problem.audit(candidates, tmp_path, 1, method=method)
    rows = found.tables["membership risk"]
    names = [row["network"] for row in rows]
    assert names == ["unpruned", "dense, from scratch with weight decay", "candidate 1", "candidate 2"]
    risks = ("risk, as searched", "risk, other non-members", "risk, shadow models")
    assert all(0.5 <= row[name] <= 1 for row in rows for name in risks)  # type: ignore[operator]  # numbers, as written
    assert len(found.findings) == 2


def test_shadows_tell_a_hard_member_from_a_hard_stranger() -> None:
    rng = np.random.default_rng(0)
    hardness = rng.exponential(size=400)  # which the plain attack takes for not having been a member
    inside, fresh = 0.7 * hardness[:200], hardness[200:]
    out = np.stack([hardness[:200], hardness[:200]])
    out[0, ::2] = np.nan
    others = np.stack([hardness[200:]] * 2)
    plain = max(attack_auc(inside, fresh), 1 - attack_auc(inside, fresh))
    assert plain < 0.65
    assert shadow_auc(inside, out, fresh, others) > 0.95


def test_one_class_leaves_nothing_to_attack_by_and_no_images_are_said() -> None:
    outputs, labels = torch.zeros((4, 1)), torch.zeros(4, dtype=torch.long)
    assert attack_auc(losses_of(outputs, labels), losses_of(outputs, labels)) == 0.5
    with pytest.raises(ContractError, match="the network is seen by all measures"):
        MembershipRisk()(Seen({}, Scored(outputs, labels)))
    with pytest.raises(ConfigError, match="flatness: expected images and iterations"):
        Flatness(images=0)
