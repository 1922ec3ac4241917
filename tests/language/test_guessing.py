"""Scores of a model that guesses: told from those of one that knows something, and refused with likely reasons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.errors import ConfigError
from emoprune.problems.language.guessing import Tried, refuse_guessing

RNG = np.random.default_rng(0)


def tried(error: float, loss: float, count: int = 400, shares: tuple[float, ...] = (0.5, 0.5)) -> Tried:
    gold = np.repeat(np.arange(len(shares)), [round(share * count) for share in shares])
    wrong = np.zeros(len(gold), dtype=np.bool_)
    wrong[: round(error * len(gold))] = True
    answers = np.where(wrong, (gold + 1) % len(shares), gold)
    losses = loss + RNG.normal(scale=0.1, size=len(gold))
    return Tried(answers, losses - losses.mean() + loss, gold)


@pytest.mark.parametrize(
    ("error", "loss", "knows"),
    [(0.1, 0.3, True), (0.5, 0.7, False), (0.47, 0.72, False), (0.4, 0.9, True), (1.0, 9.0, False), (0.5, 0.6, True)],
)
def test_a_model_knows_something_if_its_error_or_its_loss_can_be_told_from_guessing(
    error: float, loss: float, knows: bool
) -> None:
    assert tried(error, loss).knows is knows


def test_where_one_class_is_large_a_good_loss_is_enough() -> None:
    assert tried(0.05, 0.08, shares=(0.95, 0.05)).knows
    assert not tried(0.05, 0.25, shares=(0.95, 0.05)).knows


@given(st.floats(0.0, 0.05))
def test_few_examples_are_enough_for_a_model_that_errs_rarely(error: float) -> None:
    assert tried(error, 0.1, count=24).knows


def test_no_more_parts_are_tried_than_it_takes() -> None:
    asked: list[str] = []

    def pieces() -> Iterator[Tried]:
        for name, error in (("search", 0.45), ("select", 0.1), ("train", 0.1)):
            asked.append(name)
            yield tried(error, 2.0, count=60)

    refuse_guessing(pieces(), "the unpruned model", list)
    assert asked == ["search", "select"]


def test_what_guesses_is_refused_with_what_is_likely_wrong_and_how_to_go_on() -> None:
    with pytest.raises(
        ConfigError,
        match=r"the unpruned model errs on 51\.0% of 400 examples, where always saying the largest class errs on "
        r"50\.0%.* \(1\) it is asleep; \(2\) it is late\. .*accept_guessing: true",
    ):
        refuse_guessing([tried(0.51, 0.9)], "the unpruned model", lambda: ["it is asleep", "it is late"])
