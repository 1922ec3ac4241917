"""Which tokens are taken, in which order: the ends of each method, its bounds, and its own counts."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emoprune.problems.networks.transformers.inference.standalone.token_selectors import (
    Attended,
    Coverage,
    Knee,
    SaliencyDiversity,
    Units,
    elbow,
    ranks,
)

SEEDS = st.integers(0, 10_000)


def units(seed: int, number: int = 9, rows: int = 2, width: int = 5) -> Units:
    drawn = torch.Generator().manual_seed(seed)
    return Units(
        vectors=torch.randn(rows, number, width, generator=drawn),
        attention=torch.rand(rows, 1, number, generator=drawn),
        queries=torch.randn(rows, 1, width, generator=drawn),
        alive=torch.ones(rows, number, dtype=torch.bool),
    )


def order(selector: object, own: Units, strength: float = 1.0) -> list[list[int]]:
    """Return the units of each row in the order in which they are taken."""
    return ranks(selector, own, strength).argsort(dim=1).tolist()  # type: ignore[no-any-return]  # a list of lists


@settings(max_examples=25)
@given(SEEDS)
def test_infinite_strength_is_the_most_attended_alone(seed: int) -> None:
    own = units(seed)
    assert order(SaliencyDiversity(), own, math.inf) == order(Attended(), own)


@settings(max_examples=25)
@given(SEEDS)
def test_no_strength_is_the_farthest_first_after_the_most_salient(seed: int) -> None:
    own = units(seed, rows=1)
    vectors = torch.nn.functional.normalize(own.vectors[0], dim=1)
    alike = (vectors @ vectors.T).clamp(min=0.0)
    taken = [int(own.saliency[0].argmax())]
    while len(taken) < 9:
        left = [unit for unit in range(9) if unit not in taken]
        nearest = {unit: max(float(alike[unit, other]) for other in taken) for unit in left}
        taken.append(min(left, key=lambda unit: (nearest[unit], unit)))
    assert order(SaliencyDiversity(), own, 0.0)[0] == taken


def test_of_duplicates_of_the_most_salient_token_one_is_taken() -> None:
    own = units(1, number=14, rows=1)
    vectors, attention = own.vectors.clone(), own.attention.clone()
    vectors[0, :10] = vectors[0, 0]
    attention[0, 0, :10] = 5.0
    doubled = Units(vectors, attention, own.queries, own.alive)
    taken = order(SaliencyDiversity(), doubled, 1.0)[0][:5]
    assert sum(unit < 10 for unit in taken) == 1
    assert sum(unit < 10 for unit in order(Attended(), doubled)[0][:5]) == 5


def covered(own: Units, chosen: list[int], strength: float) -> float:
    """Return what some units of the first row cover, by the definition."""
    function = Coverage().gains(own, strength)
    cover = function._cover[0]
    return float(cover[:, chosen].max(dim=1).values.sum()) if chosen else 0.0


@settings(max_examples=25)
@given(SEEDS, st.sampled_from([0.0, 0.5, 2.0, math.inf]))
def test_what_is_covered_is_monotone_and_gains_never_rise(seed: int, strength: float) -> None:
    own = units(seed, rows=1)
    taken = order(Coverage(), own, strength)[0]
    values = [covered(own, taken[:number], strength) for number in range(10)]
    gains = [after - before for before, after in pairwise(values)]
    assert all(gain >= -1e-6 for gain in gains)
    assert all(later <= earlier + 1e-6 for earlier, later in pairwise(gains))


@settings(max_examples=25)
@given(SEEDS, st.sampled_from([0.0, 0.5, 2.0]))
def test_the_greedy_choice_covers_nearly_as_much_as_the_best_one(seed: int, strength: float) -> None:
    own = units(seed, rows=1)
    greedy = covered(own, order(Coverage(), own, strength)[0][:4], strength)
    best = max(covered(own, list(four), strength) for four in combinations(range(9), 4))
    assert greedy >= (1 - 1 / math.e) * best - 1e-9


@pytest.mark.parametrize("selector", [Attended(), SaliencyDiversity(), Coverage(), Knee()])
def test_what_is_not_there_comes_last_and_changes_nothing(selector: object) -> None:
    own = units(3)
    alive = own.alive.clone()
    alive[1, 6:] = False
    masked = Units(own.vectors, own.attention, own.queries, alive)
    short = Units(own.vectors[1:, :6], own.attention[1:, :, :6], own.queries[1:], alive[1:, :6])
    taken = order(selector, masked)
    assert taken[0] == order(selector, own)[0]
    assert taken[1] == [*order(selector, short)[0], 6, 7, 8]


@settings(max_examples=25)
@given(st.integers(2, 20), st.integers(3, 20), st.floats(0.05, 0.5))
def test_the_elbow_of_two_straight_lines_is_where_they_meet(steep: int, shallow: int, slope: float) -> None:
    high = [10.0 + (steep - place) * 2.0 for place in range(steep)]
    low = [10.0 - place * slope * 0.1 for place in range(shallow)]
    assert elbow(high + low, 0.05) == steep


@pytest.mark.parametrize("values", [[3.0] * 8, [8.0, 7.0, 6.0, 5.0, 4.0], [5.0, 4.9, 4.8, 4.69], [1.0], [2.0, 1.0], []])
def test_a_curve_without_an_elbow_keeps_all(values: list[float]) -> None:
    assert elbow(values, 0.05) == len(values)


def test_each_row_has_a_count_of_its_own() -> None:
    own = units(2, number=8)
    queries = torch.zeros(2, 1, 5)
    queries[..., 0] = 1.0
    vectors = torch.zeros(2, 8, 5)
    for row, near in enumerate((2, 5)):  # so many like what asks, the others unlike it
        vectors[row, :, 0] = torch.tensor([1.0] * near + [0.1] * (8 - near))
        vectors[row, :, 1] = torch.tensor([0.0] * near + [1.0] * (8 - near))
    assert Knee().counts(Units(vectors, own.attention, queries, own.alive)).tolist() == [2, 5]
