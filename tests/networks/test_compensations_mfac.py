"""Second-order updates: the recursions against dense inverses, and quadratics whose minimum is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo_for_tests import evidence_of

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.inverse_fisher import (
    InverseFisher,
    blocked,
    diagonals,
    jointly_moved,
    separately_moved,
)
from emoprune.problems.networks.calibration.weight_gradients import gradients_of_weights
from emoprune.problems.networks.channels.compensations.mfac import MFAC
from emoprune.problems.networks.coupling.pruned_module import tensors_of

DAMPING = 1e-5


def dense(gradients: np.ndarray, damping: float = DAMPING) -> np.ndarray:
    """The Fisher matrix of gradients of shape (m, d)."""
    return damping * np.eye(gradients.shape[1]) + gradients.T @ gradients / len(gradients)


def test_diagonal_and_products_equal_those_of_the_dense_inverse() -> None:
    rng = np.random.default_rng(0)
    gradients, vectors = rng.standard_normal((3, 32, 60)), rng.standard_normal((3, 60))
    found = InverseFisher(gradients, DAMPING)
    for block in range(3):
        inverse = np.linalg.inv(dense(gradients[block]))
        scale = np.abs(inverse).max()  # about 1 / damping
        assert np.abs(found.diagonal[block] - np.diagonal(inverse)).max() < 1e-10 * scale
        assert np.abs(found.times(vectors)[block] - inverse @ vectors[block]).max() < 1e-10 * scale


@given(seed=st.integers(0, 2**32 - 1), damping=st.sampled_from([1e-5, 1e-3, 1.0]))
@settings(max_examples=50)
def test_removing_one_weight_raises_a_quadratic_loss_by_its_score(seed: int, damping: float) -> None:
    rng = np.random.default_rng(seed)
    gradients, weights = rng.standard_normal((16, 24)), rng.standard_normal(24)
    hessian = dense(gradients, damping)
    diagonal = InverseFisher(gradients[np.newaxis], damping).diagonal[0]
    removed = int(rng.integers(24))
    expected = weights[removed] ** 2 / (2 * diagonal[removed])
    going = torch.zeros(24, dtype=torch.float64)
    going[removed] = 1
    own = torch.from_numpy(gradients), torch.from_numpy(weights), going
    for moved in (jointly_moved(*own, damping), separately_moved(*own, torch.from_numpy(diagonal), damping)):
        step = moved.numpy() - weights
        step[removed] = -weights[removed]
        assert 0.5 * step @ hessian @ step == pytest.approx(expected, rel=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_removing_many_weights_jointly_ends_in_the_quadratics_minimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gradients, weights = rng.standard_normal((16, 24)), rng.standard_normal(24)
    hessian = dense(gradients, 1e-3)
    going = rng.random(24) < 0.5
    joint = jointly_moved(*(torch.from_numpy(own) for own in (gradients, weights, going.astype(float))), 1e-3)
    step = np.where(going, -weights, joint.numpy() - weights)
    assert np.abs((hessian @ step)[~going]).max(initial=0.0) < 1e-6 * max(1.0, float(np.abs(hessian @ step).max()))
    diagonal = torch.from_numpy(InverseFisher(gradients[np.newaxis], 1e-3).diagonal[0])
    separate = separately_moved(
        *(torch.from_numpy(own) for own in (gradients, weights, going.astype(float))), diagonal, 1e-3
    )
    other = np.where(going, -weights, separate.numpy() - weights)
    assert step @ hessian @ step <= other @ hessian @ other * (1 + 1e-9)


def test_blocks_are_nearly_equal_and_no_longer_than_asked() -> None:
    rows = np.arange(1.0, 11.0)
    assert blocked(rows, 4).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]
    assert blocked(rows, 128).tolist() == [rows.tolist()]
    assert blocked(np.ones((2, 9)), 8).shape == (2, 2, 5)


@given(weights=st.integers(1, 300), size=st.integers(1, 200))
def test_blocks_cut_again_by_their_length_are_the_same(weights: int, size: int) -> None:
    once = blocked(np.arange(float(weights)), size)
    assert np.array_equal(blocked(np.arange(float(weights)), once.shape[-1]), once)


def test_diagonals_are_found_block_by_block() -> None:
    gradients = np.random.default_rng(1).standard_normal((3, 2, 5, 4))
    found = diagonals(gradients, 0.1)
    assert found.shape == (3, 2, 4)
    np.testing.assert_allclose(found[2, 1], np.diagonal(np.linalg.inv(dense(gradients[2, 1], 0.1))))


def test_gradients_without_damping_are_refused() -> None:
    with pytest.raises(ContractError, match="a positive damping, found shape"):
        InverseFisher(np.zeros((1, 2, 3)), 0.0)


def test_gradients_of_all_batches_average_to_the_gradient_of_the_mean_loss() -> None:
    evidence = evidence_of("resnet")
    parts = evidence.structure.weighted
    eight = {part.path: own for part, own in gradients_of_weights(evidence, parts, 8)}
    one = {part.path: own for part, own in gradients_of_weights(evidence, parts, 1)}
    assert all(own.shape[0] == 8 for own in eight.values())
    for path, own in eight.items():
        np.testing.assert_allclose(own.mean(axis=0), one[path][0], atol=1e-5 * np.abs(one[path]).max())


def test_with_fewer_images_than_gradients_every_image_gives_one() -> None:
    evidence = evidence_of("vgg")
    (_, gradients), *_ = gradients_of_weights(evidence, evidence.structure.weighted, 1000)
    assert len(gradients) == 24


@pytest.mark.parametrize("name", ["resnet", "regnet", "multiplied"])
def test_a_layers_weights_move_as_the_dense_fisher_matrix_of_each_filter_says(name: str) -> None:
    evidence = evidence_of(name)
    compensation = MFAC(gradients=8, block=10**6, damping=1e-3)
    held = compensation.statistics(evidence)
    part = next(part for part in reversed(evidence.structure.weighted) if f"{part.path}.gradients" in held)
    assert part.incoming is not None
    kept = [np.arange(0, units, 2) for units in evidence.structure.units]
    found = compensation.tensors(part, tensors_of(evidence.network, part), kept, held)[f"{part.path}.weight"]
    weight = evidence.network.get_parameter(f"{part.path}.weight").double().numpy()
    (_, gradients), *_ = gradients_of_weights(evidence, [part], 8)
    staying = np.zeros(weight.shape[1:], dtype=bool)
    staying[part.incoming.staying(kept)] = True
    stays = staying.ravel()
    assert part.outgoing is not None
    for row, filter_ in zip(part.outgoing.staying(kept), found, strict=True):
        hessian = dense(gradients[:, row].reshape(8, -1).astype(np.float64), 1e-3)
        own = weight[row].ravel()
        move = np.linalg.solve(hessian[np.ix_(stays, stays)], hessian[np.ix_(stays, ~stays)] @ own[~stays])
        np.testing.assert_allclose(filter_.numpy().ravel(), own[stays] + move, atol=2e-3 * np.abs(own).max())
