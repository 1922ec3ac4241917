"""The ranking by the lasso's path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zoo_for_tests import SOUND, evidence_of

from emoprune.errors import ConfigError
from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.lasso import Lasso, entering
from emoprune.problems.networks.evaluation.scoring import LoadedImages


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("most_weights", [4608, 20])
def test_scores_are_finite_shares_and_one_per_unit(name: str, most_weights: int) -> None:
    evidence = evidence_of(name)
    scores = Lasso(most_weights=most_weights)(evidence)
    assert tuple(len(own) for own in scores) == evidence.structure.units
    assert all(np.isfinite(own).all() and (own >= 0).all() and (own <= 1).all() for own in scores)
    dead = [group.name for group, own in zip(evidence.structure.groups, scores, strict=True) if own.max() == 0]
    assert dead in ([], ["block2.squeeze"])  # in this draw nothing passes the ReLU behind it


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_of_uncorrelated_variables_the_largest_enter_first(seed: int) -> None:
    squares = np.random.default_rng(seed).uniform(0.1, 5.0, 9)
    np.testing.assert_allclose(entering(np.diag(squares)), squares / squares.max(), rtol=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_at_every_penalty_the_variables_that_have_entered_solve_the_lasso(seed: int) -> None:
    """Against coordinate descent: what it keeps has entered the path, and what it drops has a lower score."""
    from sklearn.linear_model import Lasso as Descent

    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((40, 6)) * rng.uniform(0.3, 2.0, 6)
    products, target = parts.T @ parts / 40, parts.sum(axis=1)
    scores = entering(products)
    largest = np.abs(products.sum(axis=1)).max()
    for share in (0.9, 0.5, 0.2):
        found = Descent(alpha=share * largest, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(parts, target)
        clear = np.abs(scores - share) > 1e-3
        kept = np.abs(found.coef_) > 1e-9
        assert (scores[kept & clear] > share).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_of_two_variables_that_are_the_same_one_never_enters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((50, 6))
    parts[:, 4] = parts[:, 1]
    scores = entering(parts.T @ parts / 50)
    assert int(np.argmin(scores)) in {1, 4}


def test_a_layer_that_puts_out_nothing_wants_nothing() -> None:
    assert entering(np.zeros((3, 3))).tolist() == [0.0, 0.0, 0.0]


def small(*, groups: int = 1) -> Evidence:
    with seeded(7):
        network = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, groups=groups), nn.ReLU(), nn.Flatten(),
            nn.Linear(4 * 16, 3),
        ).eval()  # fmt: skip
        images = torch.randn(40, 1, 6, 6)
    structure = trace(network, (1, 6, 6))
    network.requires_grad_(requires_grad=False)
    return Evidence(network, structure, LoadedImages((images,), torch.arange(40) % 3), seed=0)


def test_a_duplicated_channel_goes_first_whatever_its_reader_makes_of_it() -> None:
    evidence = small()
    with torch.no_grad():
        for name in ("0.weight", "0.bias"):
            tensor = evidence.network.get_parameter(name)
            tensor[5] = tensor[2]
    assert int(np.argmin(Lasso()(evidence)[0])) in {2, 5}


@pytest.mark.parametrize("most_weights", [4608, 1])
def test_a_unit_that_its_reader_ignores_goes_first_however_much_it_says(most_weights: int) -> None:
    evidence = small()
    with torch.no_grad():
        evidence.network.get_parameter("2.weight")[:, 3] = 0.0
        evidence.network.get_parameter("0.weight")[3] *= 50.0
    scores = Lasso(most_weights=most_weights)(evidence)[0]
    assert int(np.argmin(scores)) == 3
    assert scores[3] < 1e-3


def test_a_dead_unit_goes_first() -> None:
    evidence = small()
    with torch.no_grad():
        evidence.network.get_parameter("0.weight")[6] = 0.0
        evidence.network.get_parameter("0.bias")[6] = -1.0
    scores = Lasso()(evidence)[0]
    assert int(np.argmin(scores)) == 6
    assert scores[6] == 0.0


def test_a_group_read_by_several_layers_gets_their_mean() -> None:
    evidence = evidence_of("resnet")
    number = [group.name for group in evidence.structure.groups].index("stem.0")
    readers = {"block1.first.0", "block2.first.0", "block2.shortcut.0"}
    own = {part.path: scores for part, scores in Lasso()._layers(evidence) if part.path in readers}
    assert set(own) == readers
    np.testing.assert_allclose(Lasso()(evidence)[number], np.mean(list(own.values()), axis=0))


def test_grouped_layers_are_solved_group_by_group() -> None:
    evidence = small(groups=2)
    scores = Lasso()(evidence)[0]
    assert len(scores) == 4  # units of two channels, one in each group
    assert np.isfinite(scores).all()


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="rows_per_weight: expected a positive number, found 0"):
        Lasso(rows_per_weight=0)
