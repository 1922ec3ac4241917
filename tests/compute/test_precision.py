"""What is found of bfloat16 decides: one other prediction, or no gain, and it is not taken."""

from __future__ import annotations

from emoprune.problems.compute.precision import PrecisionChoice, chosen_precision


def test_one_changed_prediction_rules_it_out() -> None:
    assert chosen_precision(100, 1, 3.0) == PrecisionChoice(
        "float32", "bfloat16 changes 1 of 100 predictions", 100, 1, 3.0
    )


def test_no_gain_rules_it_out() -> None:
    assert chosen_precision(100, 0, 0.8).precision == "float32"
    assert chosen_precision(100, 0, 0.8).reason == "bfloat16 is not faster here: 0.80 times as fast as float32"


def test_the_same_predictions_faster_are_taken() -> None:
    assert chosen_precision(1000, 0, 2.4).precision == "bfloat16"
