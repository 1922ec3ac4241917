"""M-FAC as a criterion."""

from __future__ import annotations

import numpy as np
import pytest
from zoo_for_tests import SOUND, evidence_of

from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.weight_gradients import gradients_of_weights
from emoprune.problems.networks.criteria.mfac import MFAC


@pytest.mark.parametrize("name", SOUND)
def test_scores_are_finite_positive_and_one_per_unit(name: str) -> None:
    evidence = evidence_of(name)
    scores = MFAC(gradients=6)(evidence)
    assert tuple(len(own) for own in scores) == evidence.structure.units
    assert all(np.isfinite(own).all() and (own > 0).all() for own in scores)


def test_the_score_is_summed_over_all_producers_by_their_dense_inverses() -> None:
    evidence = evidence_of("resnet")
    scores = MFAC(gradients=6, block=10**6, damping=1e-3)(evidence)
    number = [group.name for group in evidence.structure.groups].index("stem.0")
    expected = np.zeros(8)
    for part, gradients in gradients_of_weights(
        evidence, [evidence.structure.part(p) for p in ("stem.0", "block1.second.0")], 6
    ):
        weight = evidence.network.get_parameter(f"{part.path}.weight").double().numpy().reshape(8, -1)
        for unit in range(8):
            rows = gradients[:, unit].reshape(6, -1).astype(np.float64)
            inverse = np.linalg.inv(1e-3 * np.eye(rows.shape[1]) + rows.T @ rows / 6)
            expected[unit] += (weight[unit] ** 2 / (2 * np.diagonal(inverse))).sum()
    np.testing.assert_allclose(scores[number], expected, rtol=1e-6)


def test_short_blocks_are_another_approximation_of_the_same() -> None:
    evidence = evidence_of("resnet")
    whole, short = MFAC(gradients=6, block=10**6)(evidence), MFAC(gradients=6, block=16)(evidence)
    assert not np.allclose(whole[1], short[1])
    assert np.corrcoef(whole[1], short[1])[0, 1] > 0.5


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="positive damping, found 64, 0 and 1e-05"):
        MFAC(block=0)
