"""The ranking by merging of similar units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo_for_tests import SOUND, evidence_of

from emoprune.problems.networks.criteria.kmeans import KMeans, heights_of_merging
from emoprune.problems.networks.criteria.ranking import kept_units


@pytest.mark.parametrize("name", SOUND)
def test_scores_are_finite_and_one_per_unit(name: str) -> None:
    evidence = evidence_of(name, images=8)
    scores = KMeans()(evidence)
    assert tuple(len(own) for own in scores) == evidence.structure.units
    assert all(np.isfinite(own).all() for own in scores)


@given(seed=st.integers(0, 2**32 - 1), clusters=st.integers(1, 6), copies=st.integers(1, 4))
@settings(max_examples=60)
def test_with_as_many_units_as_clusters_every_cluster_keeps_one(seed: int, clusters: int, copies: int) -> None:
    rng = np.random.default_rng(seed)
    of = rng.permutation(np.repeat(np.arange(clusters), copies))
    centres = np.eye(6)[:clusters]
    points = centres[of] + 0.02 * rng.standard_normal((len(of), 6))
    kept = kept_units(heights_of_merging(points, np.ones(len(of))), clusters)
    assert sorted(of[kept].tolist()) == list(range(clusters))


def test_the_unit_nearest_to_the_middle_stands_for_its_cluster() -> None:
    points = np.array([[0.0, 0.0], [0.1, 0.0], [0.25, 0.0], [5.0, 5.0]])
    kept = kept_units(heights_of_merging(points, np.ones(4)), 2)
    assert kept.tolist() == [1, 3]


def test_of_two_equal_units_the_one_of_larger_norm_stays() -> None:
    points = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert kept_units(heights_of_merging(points, np.array([1.0, 2.0, 1.0])), 2).tolist() == [1, 2]
    assert kept_units(heights_of_merging(points, np.array([2.0, 1.0, 1.0])), 2).tolist() == [0, 2]


def test_direction_counts_and_length_does_not() -> None:
    evidence = evidence_of("vgg", images=8)
    weight = evidence.network.get_parameter("2.0.weight")
    with torch.no_grad():
        weight[7] = 0.1 * weight[2]
        weight[4] = -weight[9]  # opposite, so as far away as can be
    scores = KMeans()(evidence)[[group.name for group in evidence.structure.groups].index("2.0")]
    assert int(np.argmin(scores)) == 7
    assert scores[7] == pytest.approx(0.0, abs=1e-6)
    assert min(scores[4], scores[9]) > 0.1


def test_all_producers_of_a_coupling_group_count() -> None:
    evidence = evidence_of("resnet", images=8)
    with torch.no_grad():
        stem, second = (evidence.network.get_parameter(f"{path}.weight") for path in ("stem.0", "block1.second.0"))
        stem[5] = stem[1]
    number = [group.name for group in evidence.structure.groups].index("stem.0")
    assert KMeans()(evidence)[number].min() > 0.1
    with torch.no_grad():
        second[5] = second[1]
    scores = KMeans()(evidence)[number]
    assert int(np.argmin(scores)) in {1, 5}
    assert scores.min() == pytest.approx(0.0, abs=1e-6)


def test_units_without_weights_come_last() -> None:
    evidence = evidence_of("vgg", images=8)
    with torch.no_grad():
        evidence.network.get_parameter("2.0.weight")[[3, 8]] = 0.0
    scores = KMeans()(evidence)[[group.name for group in evidence.structure.groups].index("2.0")]
    assert scores[[3, 8]].tolist() == [0.0, 0.0]
    assert (np.delete(scores, [3, 8]) > 0).all()


def test_one_unit_alone_has_a_score() -> None:
    assert heights_of_merging(np.ones((1, 3)), np.ones(1)).tolist() == [1.0]
