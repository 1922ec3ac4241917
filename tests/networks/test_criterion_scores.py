"""Scores of a criterion are held against its promise in a run too, and the refusal names criterion and group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from emoprune.errors import ContractError
from emoprune.problems.networks.criteria.scoring import group_scores

UNITS = (3, 2)


class Odd:
    """A criterion that returns what it was made with."""

    def __init__(self, scores: Any) -> None:
        self.scores = scores

    def __call__(self, evidence: object) -> Any:
        return self.scores


def test_one_score_for_each_unit_is_taken_in_64_bits() -> None:
    found = group_scores(Odd([torch.ones(3), [1, 2]]), None, UNITS)
    assert [own.tolist() for own in found] == [[1.0, 1.0, 1.0], [1.0, 2.0]]
    assert {own.dtype for own in found} == {np.dtype(np.float64)}


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (None, "'Odd': expected scores of 2 groups of units, found NoneType"),
        ([np.ones(3)], "'Odd': expected scores of 2 groups of units, found 1 of them"),
        ([np.ones(3), np.ones(3)], r"'Odd': group 1: expected a score for each of its 2 units, found shape \(3,\)"),
        ([None, np.ones(2)], r"'Odd': group 0: expected a score for each of its 3 units, found shape \(\)"),
        (["abc", np.ones(2)], "'Odd': group 0: expected an array of numbers, found str"),
        ([np.ones(3), np.array([1.0, np.nan])], "'Odd': group 1: expected finite scores, found 1 of 2 that are not"),
        ([torch.ones(3, requires_grad=True), np.ones(2)], "'Odd': group 0: expected an array of numbers, found Tensor"),
    ],
)
def test_other_scores_are_refused_by_criterion_and_group(scores: Any, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        group_scores(Odd(scores), None, UNITS)
