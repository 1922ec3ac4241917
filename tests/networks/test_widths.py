"""Levels to widths, scores to channels, and the baselines made of both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.criteria.ranking import kept_units

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
    with pytest.raises(ConfigError, match="expected at least 2 widths per coupling group, found 1"):
        levels_of([4], 1)


def test_the_channels_with_the_highest_scores_stay_in_their_old_order_and_the_first_of_equals() -> None:
    scores = np.array([1.0, 5.0, 2.0, 5.0, 2.0])
    assert [kept_units(scores, width).tolist() for width in (1, 2, 3, 5)] == [
        [1],
        [1, 3],
        [1, 2, 3],
        [0, 1, 2, 3, 4],
    ]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.data())
def test_a_wider_layer_keeps_all_that_a_narrower_one_keeps(scores: list[float], data: st.DataObject) -> None:
    width = data.draw(st.integers(1, len(scores)))
    narrow = kept_units(np.array(scores), max(1, width - 1))
    wide = kept_units(np.array(scores), width)
    assert len(wide) == width
    assert set(narrow.tolist()) <= set(wide.tolist())


@given(layers, steps, st.sampled_from([2, 8, 16]))
def test_rounded_widths_are_multiples_or_full_and_never_none(full: list[int], steps: int, round_to: int) -> None:
    levels = WidthLevels(tuple(f"layer{i}" for i in range(len(full))), tuple(full), steps, round_to)
    for width, table in zip(full, levels.table, strict=True):
        assert table[-1] == width
        assert table[0] >= 1
        assert all(each % round_to == 0 or each == width for each in table.tolist())


@given(layers, steps, st.floats(0, 1))
def test_no_width_lies_below_the_smallest_share(full: list[int], steps: int, smallest: float) -> None:
    levels = WidthLevels(tuple(f"layer{i}" for i in range(len(full))), tuple(full), steps, 1, smallest)
    assert all(table[0] >= smallest * width - 1e-6 for width, table in zip(full, levels.table, strict=True))


@pytest.mark.parametrize(("width", "smallest", "expected"), [(10, 0.3, 3), (10, 0.9, 9), (100, 0.9, 90), (10, 1.0, 10)])
def test_a_share_that_no_float_holds_exactly_still_gives_the_whole_number_that_is_meant(
    width: int, smallest: float, expected: int
) -> None:
    assert WidthLevels(("layer",), (width,), 200, 1, smallest).table[0][0] == expected


def test_rounding_goes_up_so_that_no_group_loses_more_than_was_asked() -> None:
    assert WidthLevels(("layer",), (16,), 4, 8).table[0].tolist() == [8, 16]
    assert WidthLevels(("layer",), (20,), 4, 8).table[0].tolist() == [8, 16, 20]


@pytest.mark.parametrize(
    ("round_to", "smallest", "complaint"),
    [(0, 0.0, "round_to: expected 1 or more"), (1, -0.1, "smallest: expected a share"), (1, 1.1, "smallest: expected")],
)
def test_rounding_or_floors_that_mean_nothing_are_refused(round_to: int, smallest: float, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        WidthLevels(("layer",), (4,), 4, round_to, smallest)
