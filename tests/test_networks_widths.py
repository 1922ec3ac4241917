"""Levels to widths, scores to channels, and the baselines made of both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.errors import ConfigError
from emoprune.problems.networks.baselines import baselines
from emoprune.problems.networks.criteria.l1 import l1_norms
from emoprune.problems.networks.criteria.ranking import kept_channels, widths_of_global_threshold
from emoprune.problems.networks.widths import WidthLevels

layers = st.lists(st.integers(1, 40), min_size=1, max_size=5)
steps = st.integers(2, 20)


def levels_of(full: list[int], steps: int) -> WidthLevels:
    return WidthLevels(tuple(f"layer{i}" for i in range(len(full))), tuple(full), steps)


@given(layers, steps)
def test_every_level_of_a_layer_is_another_width_from_one_to_the_full_one(full: list[int], steps: int) -> None:
    levels = levels_of(full, steps)
    for layer, width in enumerate(full):
        genomes = np.tile(levels.space.full, (levels.space.levels[layer], 1))
        genomes[:, layer] = np.arange(levels.space.levels[layer])
        decoded = levels.decode(genomes)[:, layer]
        assert (np.diff(decoded) > 0).all()
        assert decoded[0] >= 1
        assert decoded[-1] == width


@given(layers, steps)
def test_levels_divide_a_layer_evenly_as_far_as_its_channels_allow(full: list[int], steps: int) -> None:
    levels = levels_of(full, steps)
    assert levels.space.levels.tolist() == [min(width, steps) for width in full]


@given(layers, steps, st.data())
def test_encoding_gives_the_narrowest_widths_that_are_wide_enough(
    full: list[int], steps: int, data: st.DataObject
) -> None:
    levels = levels_of(full, steps)
    wanted = np.array([data.draw(st.integers(1, width)) for width in full])
    genome = levels.encode(wanted)
    assert (levels.decode(genome[np.newaxis])[0] >= wanted).all()
    narrower = np.maximum(genome - 1, 0)
    assert ((levels.decode(narrower[np.newaxis])[0] < wanted) | (genome == 0)).all()


def test_one_width_per_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 2 widths per layer, found 1"):
        levels_of([4], 1)


def test_l1_norms_sum_the_absolute_weights_of_each_outgoing_channel() -> None:
    weight = np.array([[[[1.0, -2.0]]], [[[0.5, 0.25]]]], dtype=np.float32)
    assert l1_norms(weight).tolist() == [3.0, 0.75]


def test_the_channels_with_the_highest_scores_stay_in_their_old_order_and_the_first_of_equals() -> None:
    scores = np.array([1.0, 5.0, 2.0, 5.0, 2.0])
    assert [kept_channels(scores, width).tolist() for width in (1, 2, 3, 5)] == [
        [1],
        [1, 3],
        [1, 2, 3],
        [0, 1, 2, 3, 4],
    ]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.data())
def test_a_wider_layer_keeps_all_that_a_narrower_one_keeps(scores: list[float], data: st.DataObject) -> None:
    width = data.draw(st.integers(1, len(scores)))
    narrow = kept_channels(np.array(scores), max(1, width - 1))
    wide = kept_channels(np.array(scores), width)
    assert len(wide) == width
    assert set(narrow.tolist()) <= set(wide.tolist())


def test_a_global_threshold_takes_most_from_the_layer_with_the_smallest_normalised_scores() -> None:
    flat, peaked = np.ones(4), np.array([9.0, 0.1, 0.1, 0.1])
    assert widths_of_global_threshold([flat, peaked], 5 / 8).tolist() == [4, 1]
    # the same scores in other units: the threshold must not care
    assert widths_of_global_threshold([flat * 1000.0, peaked], 5 / 8).tolist() == [4, 1]


def test_a_global_threshold_never_empties_a_layer() -> None:
    assert widths_of_global_threshold([np.full(2, 1.0), np.zeros(3)], 0.2).tolist() == [1, 1]


def test_baselines_start_with_the_unpruned_genome_and_shrink() -> None:
    levels = levels_of([16, 32], 16)
    scores = [np.arange(1.0, 17.0), np.arange(1.0, 33.0)]
    made = baselines(levels, scores)
    decoded = {reference.name: levels.decode(reference.genome[np.newaxis])[0].tolist() for reference in made}
    assert list(decoded) == [
        "unpruned",
        "uniform-75",
        "uniform-50",
        "uniform-25",
        "global-magnitude-75",
        "global-magnitude-50",
        "global-magnitude-25",
    ]
    assert decoded["unpruned"] == [16, 32]
    assert decoded["uniform-75"] == [12, 24]
    assert decoded["uniform-25"] == [4, 8]


def test_baselines_that_come_out_equal_appear_once() -> None:
    made = baselines(levels_of([2], 2), [np.array([1.0, 2.0])])
    assert [(reference.name, reference.genome.tolist()) for reference in made] == [
        ("unpruned", [1]),
        ("uniform-50", [0]),
    ]
