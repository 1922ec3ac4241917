"""What is known beforehand: units that others make up for, and units of no use that were planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.dependence import (
    contributions_of_units,
    elimination,
    factors_for,
    free_widths,
)
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.channels.audits.planted import CASES, Planted, planted, recall
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.next_layer import NextLayerReconstruction
from emoprune.problems.networks.criteria.norms import L1
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.problems.networks.unpruned.built_in.sample import SAMPLE
from emoprune.records import Candidate, Split

POINTS, WIDTH = 40, 120


def wide(outputs: int = 1, points: int = POINTS, seed: int = 0) -> Evidence:
    """Return a network of two layers that is far wider than it has points, in 64 bits."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(6, WIDTH), nn.ReLU(), nn.Linear(WIDTH, outputs))
    structure = trace(network, (6,))
    network = network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    images = torch.randn((points, 6), generator=generator, dtype=torch.float64)
    return Evidence(network, structure, LoadedImages((images,), torch.zeros(points, dtype=torch.long)), 1)


def test_a_network_of_two_layers_is_squeezed_to_the_rank_of_its_units_without_a_change_of_outputs() -> None:
    evidence = wide()
    [products] = contributions_of_units(evidence)
    order = elimination(products)
    assert free_widths([order]).tolist() == [POINTS]
    staying = np.sort(order.units[order.free :])
    factors = factors_for(products, staying)
    assert (factors >= 0).all()
    network: Any = evidence.network
    images = evidence.calibration.batches[0]
    before = network(images)
    with torch.no_grad():
        scaled = torch.zeros(WIDTH, dtype=torch.float64)
        scaled[torch.from_numpy(staying)] = torch.from_numpy(factors)
        network[2].weight.mul_(scaled)
    torch.testing.assert_close(network(images), before, rtol=0, atol=1e-10)


def test_more_points_than_units_leave_nothing_free_and_dead_units_are_free() -> None:
    evidence = wide(points=400)
    [products] = contributions_of_units(evidence)
    assert elimination(products).free == 0
    products[:5] = 0
    products[:, :5] = 0
    order = elimination(products)
    assert order.free == 5
    assert set(order.units[:5].tolist()) == set(range(5))
    assert elimination(np.zeros((4, 4))).free == 3  # of a group that nobody reads one unit has to stay


def test_a_front_is_held_against_the_known_minimum(tmp_path: Path) -> None:
    own = {"criterion": "relu-optimal", "compensation": "relu-optimal", "proxy": "none", "references": ["uniform"]}
    problem = Channels(**{**SAMPLE, "network": f"{__name__}:doubled", **own}, widths=8, objectives=["kl", "macs"])
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    full = problem.space.full
    squeezed, half = full.copy(), full.copy()
    squeezed[0] = 3  # four of eight widths: half of the units repeat the others
    half[0] = 0
    rows = problem.evaluate(np.stack([squeezed, half]), np.zeros(2, dtype=np.uint64), Split.SEARCH)
    assert rows[0][0] < 1e-8 < rows[1][0]  # lossless at the known minimum, and not below
    for genomes, reached in (((squeezed, full), True), ((full, full), False)):
        candidates = [Candidate(number, genome, 0, "found") for number, genome in enumerate(genomes)]
        audit = problem.audit(candidates, tmp_path, 1, method="exact-minimum")
        assert [finding.alarm for finding in audit.findings] == [not reached]
        assert ("the search is there" in audit.findings[0].sentence) == reached
        assert audit.tables["widths that lose nothing"][0]["needed at most"] == 4


def doubled() -> nn.Module:
    """Return a network whose hidden units all are there twice."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    with torch.no_grad():
        network[1].weight[4:] = network[1].weight[:4]  # type: ignore[operator, index]
        network[1].bias[4:] = network[1].bias[:4]  # type: ignore[operator, index]
        network[3].weight[:, 4:] = 2 * network[3].weight[:, :4]  # type: ignore[operator, index]
    return network


# ---- planted units


def small() -> Evidence:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten()
    )
    network = nn.Sequential(*network, nn.Linear(8 * 6 * 6, 4)).eval()
    images = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    return Evidence(network, trace(network, (1, 8, 8)), LoadedImages((images,), torch.arange(24) % 4), 1)


@pytest.mark.parametrize("case", CASES)
def test_an_oracle_finds_all_planted_units_and_a_random_order_their_share(case: str) -> None:
    rng = np.random.default_rng(0)
    _, truth = planted(small(), case, 0.25, rng)
    assert recall([1.0 - own for own in truth], truth, case) == 1.0
    drawn = [recall([rng.random(len(own)) for own in truth], truth, case) for _ in range(400)]
    assert np.mean(drawn) == pytest.approx(0.25, abs=0.03)


def test_planted_units_are_of_no_use() -> None:
    evidence, rng = small(), np.random.default_rng(1)
    images = evidence.calibration.batches[0]
    for case in CASES:
        made, truth = planted(evidence, case, 0.25, rng)
        network: Any = made.network
        if case == "duplicated":
            outputs = network[0](images)
            for unit in np.flatnonzero(truth[0]).tolist():
                assert any(torch.equal(outputs[:, unit], outputs[:, other]) for other in range(8) if other != unit)
            continue
        before = network(images)
        with torch.no_grad():  # silence them, and drive what they put out to anything: nobody notices
            for unit in np.flatnonzero(truth[0]).tolist():
                if case == "unread":
                    network[1].bias[unit] += 7
                else:
                    network[3].weight[:, unit] += 7
        torch.testing.assert_close(network(images), before)
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            small().network.state_dict().values(), evidence.network.state_dict().values(), strict=True
        )
    )


def test_the_audit_tells_a_criterion_that_sees_planted_units_from_one_that_does_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    made, truth = planted(small(), "unread", 0.25, rng)
    assert recall(NextLayerReconstruction()(made), truth, "unread") == 1.0
    assert recall(L1()(made), truth, "unread") < 1.0  # the weights that put them out are as they were
    problem = Channels(**SAMPLE, criterion="next-layer-reconstruction", references=["uniform"])
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    candidates = [Candidate(number, problem.space.full * 0 + number, 0, "found") for number in (0, 1)]
    found = problem.audit(candidates, tmp_path, 1, method="planted")
    rows = {row["planted"]: row for row in found.tables["planted units"]}
    assert set(rows) == set(CASES)
    assert all(row["oracle"] == 1.0 for row in rows.values())
    assert rows["unread"]["recall"] == rows["silent"]["recall"] == 1.0


def test_the_audit_of_criteria_puts_the_one_that_sees_useless_units_before_a_random_order(tmp_path: Path) -> None:
    problem = Channels(**{**SAMPLE, "network": f"{__name__}:half_unread"}, references=["uniform"], widths=8)
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    candidates = [Candidate(number, problem.space.full * 0 + number, 0, "found") for number in (3, 5)]
    method = {"name": "criteria", "criteria": ["random", "fisher", "l1"], "units": 8, "shares": [0.5]}
    rows = problem.audit(candidates, tmp_path, 1, method=method).tables["criteria"]
    by_name = {str(row["criterion"]): row for row in rows}
    assert set(by_name) == {"random", "fisher", "l1"}
    agreement = {name: float(row["agreement with leaving out"]) for name, row in by_name.items()}  # type: ignore[arg-type]  # numbers, as written
    # The network has learnt nothing, so that what is read does harm: the order is the reverse one, and a clear one.
    assert agreement["fisher"] < -0.8
    assert abs(agreement["fisher"]) > abs(agreement["random"])
    again = problem.audit(candidates, tmp_path, 1, method=method).tables["criteria"]
    assert again == rows
    with pytest.raises(ConfigError, match="no criterion is called 'l3'"):
        problem.audit(candidates, tmp_path, 1, method={"name": "criteria", "criteria": ["l3"]})


def half_unread() -> nn.Module:
    """Return a network of which half of the hidden units are read by nobody."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    with torch.no_grad():
        network[3].weight[:, ::2] = 0  # type: ignore[operator, index]
        network[3].weight[:, 1::2] *= 3  # type: ignore[operator, index]
    return network


def test_shares_that_leave_nothing_to_find_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"share: expected above 0 up to 0\.5, found 0\.9"):
        Planted(share=0.9)
