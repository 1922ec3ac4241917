"""Scores at chance level: when a network cannot be told from guessing, and when a person is told so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import emoprune
from emoprune.problems.networks.evaluation.chance import (
    SHOWN,
    alarms_about,
    guessing,
    guessing_loss,
    indistinguishable_from_guessing,
    no_better_than_guessing,
)
from emoprune.records import Candidate

BALANCED = np.arange(1000) % 4  # guessing errs on 75 % of these
SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}


def candidates(count: int) -> list[Candidate]:
    origins = ["reference:unpruned", *["sampling"] * (count - 1)]
    return [Candidate(number, np.array([number]), 0, origin) for number, origin in enumerate(origins)]


def alarms(scores: Sequence[float], column: str = "error") -> list[str]:
    values = np.stack([np.arange(len(scores), dtype=np.float64), np.array(scores)], axis=1)
    return alarms_about(candidates(len(scores)), values, ["macs", column], BALANCED)


def test_guessing_is_always_saying_the_largest_class() -> None:
    labels = np.array([0, 0, 0, 2])  # class 1 does not occur
    assert guessing(labels) == 0.25
    assert guessing_loss(labels) == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert guessing_loss(BALANCED) == pytest.approx(np.log(4))


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_an_error_of_guessing_or_more_is_never_told_from_it_and_no_error_always_is_on_enough_images(
    labels: list[int],
) -> None:
    own = np.array(labels)
    if len(np.unique(own)) > 1:
        assert indistinguishable_from_guessing(np.array([guessing(own), 1.0]), own).all()
    assert not indistinguishable_from_guessing(np.array([0.0]), BALANCED)[0]


def test_the_more_images_the_smaller_a_difference_from_guessing_is_seen() -> None:
    few = BALANCED[:40]
    assert indistinguishable_from_guessing(np.array([0.68]), few).tolist() == [True]
    assert indistinguishable_from_guessing(np.array([0.68]), BALANCED).tolist() == [False]


def test_an_unpruned_network_at_chance_is_alarming_before_a_search() -> None:
    assert no_better_than_guessing(0.3, BALANCED, "images of a test") is None
    said = no_better_than_guessing(0.74, BALANCED, "images of a test")
    assert said is not None
    assert said.startswith("The unpruned network errs on 74.0% of the images of a test, and guessing errs on 75.0%")
    assert "Are these its weights" in said


def test_of_a_search_the_unpruned_network_is_named_alone_when_it_is_at_chance() -> None:
    (alarm,) = alarms([0.75, 0.76, 0.1])
    assert alarm.startswith("The unpruned network errs on 75.0% on the search part")


def test_candidates_at_chance_are_named_and_more_than_a_few_are_counted() -> None:
    assert alarms([0.1, 0.2, 0.3]) == []
    assert alarms([0.1, 0.2, 0.8])[0].startswith("Candidate 2 of the front and the references cannot be told from")
    (alarm,) = alarms([0.1, *[0.8] * (SHOWN + 3)])
    assert alarm.startswith(f"Candidates 1, 2, 3, 4, 5, 6, 7, {SHOWN} and 3 more of the front")


def test_where_there_is_no_error_the_loss_is_held_against_knowing_the_classes_sizes_alone() -> None:
    assert alarms([0.5, 1.0], "loss") == []
    assert alarms([0.5, 1.4], "loss")[0].startswith("Candidate 1 of the front")
    (alarm,) = alarms([1.5, 0.5], "loss")
    assert alarm.startswith("The unpruned network has a loss of 1.500 on the search part")
    assert alarms([5.0, 5.0], "kl") == []  # a distance from the unpruned network says nothing of chance


def test_a_search_of_a_network_that_has_learnt_nothing_says_so_first_and_in_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = {
        "problem": {"name": "channels", **SMALL, "references": ["uniform"]},
        "search": {"population": 6, "generations": 1},
        "evaluation": {"backend": "serial"},
    }
    with caplog.at_level(logging.WARNING, "emoprune"):
        searching = emoprune.search(config, runs=tmp_path, name="untrained")
        for _ in searching:
            pass
    assert "The unpruned network errs on" in caplog.text
    assert "of the training images that it was tried on" in caplog.text
    (alarm,) = searching.run.progress.alarms
    assert "on the search part" in alarm
