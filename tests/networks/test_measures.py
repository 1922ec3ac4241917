"""Measures by name: what they are worth on outputs, how they become objectives and bounds, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.measures import COUNTED, Measures, scores_of

SPREAD = "milliseconds-spread"
UNPRUNED = {"macs": 1000.0, "parameters": 200.0, "bytes": 900.0}
ALL = frozenset({"error", "loss", "kl"})


def measures_of(objectives: Sequence[str], at_most: Mapping[str, float]) -> Measures:
    return Measures.of(objectives, at_most, UNPRUNED, "channels")


def test_error_counts_images_whose_highest_output_is_not_their_label() -> None:
    outputs = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 5.0]])
    assert scores_of(outputs, torch.tensor([0, 1, 1, 1]), None, frozenset({"error"})) == {"error": 0.25}


def test_loss_is_the_mean_cross_entropy_in_nats() -> None:
    outputs = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]])
    found = scores_of(outputs, torch.tensor([0, 0]), None, frozenset({"loss"}))
    assert found["loss"] == pytest.approx((math.log(2.0) + math.log(4 / 3)) / 2)


def test_kl_is_zero_for_the_unpruned_networks_own_outputs_and_asymmetric_otherwise() -> None:
    one, other = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0]])
    labels = torch.tensor([0])
    assert scores_of(one, labels, one, ALL)["kl"] == 0
    p = torch.softmax(other.double(), 1)
    by_hand = float((p * (p.log() - torch.log_softmax(one.double(), 1))).sum())
    assert scores_of(one, labels, other, ALL)["kl"] == pytest.approx(by_hand)
    assert scores_of(one, labels, other, ALL)["kl"] != pytest.approx(scores_of(other, labels, one, ALL)["kl"])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(-50, 50))
def test_adding_a_number_to_all_outputs_of_an_image_changes_no_score(seed: int, shift: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    outputs, unpruned = (torch.randn((6, 4), generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.randint(4, (6,), generator=generator)
    plain = scores_of(outputs, labels, unpruned, ALL)
    shifted = scores_of(outputs + shift, labels, unpruned, ALL)
    assert plain["error"] == shifted["error"]
    assert shifted["loss"] == pytest.approx(plain["loss"], abs=1e-9)
    assert shifted["kl"] == pytest.approx(plain["kl"], abs=1e-9)
    assert plain["kl"] >= 0


def test_objectives_come_in_the_order_asked_for_with_their_units_and_worst_values() -> None:
    measures = measures_of(("bytes", "error", "loss"), {"error": 0.4})
    assert [(each.name, each.unit, each.worst) for each in measures.objectives] == [
        ("bytes", "B", 900.0),
        ("error", "", 0.4),
        ("loss", "nats", None),
    ]


def test_bounds_follow_the_objectives_and_shares_are_of_the_unpruned_network() -> None:
    measures = measures_of(("error", "macs"), {"macs-share": 0.5, "loss": 2.0})
    assert [(each.name, each.bound) for each in measures.constraints] == [("macs-share-bound", 0.5), ("loss-bound", 2)]
    assert measures.needed == {"error", "macs", "loss"}
    assert measures.row({"error": 0.1, "macs": 250.0, "loss": 1.5}) == [0.1, 250.0, 0.25, 1.5]


def test_a_bound_below_what_any_genome_reaches_cannot_be_met_and_one_on_a_score_is_not_known_before() -> None:
    measures = measures_of(("error", "macs"), {"macs-share": 0.05, "bytes": 400, "error": 0.1})
    rows = measures.reachable({"macs": 100.0, "parameters": 20.0, "bytes": 300.0})
    assert [(row["bound"], row["smallest"], row["can be met"]) for row in rows] == [
        ("macs-share", 0.1, "no"),
        ("bytes", 300.0, "yes"),
        ("error", None, "not known before measuring"),
    ]


def test_every_measure_that_can_be_counted_or_scored_is_installed() -> None:
    assert {*COUNTED, *ALL} <= set(plugins.serving("objective", "channels"))


@pytest.mark.parametrize(
    ("objectives", "at_most", "complaint"),
    [
        ((), {}, "objectives: expected one or more, each once"),
        (("error", "error"), {}, "objectives: expected one or more, each once"),
        (("flops",), {}, "objectives: no objective is called 'flops'"),
        (("error",), {"flops": 1}, "at_most: no objective is called 'flops'"),
        (("error",), {"loss-share": 1}, "at_most: no measure is called 'loss-share'"),
        (("error",), {"macs": 0}, "at_most: macs: expected a bound above 0, found 0"),
        (("error",), {"macs": math.nan}, "at_most: macs: expected a bound above 0, found nan"),
    ],
)
def test_what_cannot_be_measured_or_bounded_is_refused(
    objectives: tuple[str, ...], at_most: dict[str, float], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        measures_of(objectives, at_most)


def test_a_bound_that_nothing_reaches_is_refused_with_all_others_that_are_alike() -> None:
    measures = measures_of(("error", "macs"), {"macs-share": 0.05, "bytes": 200, "parameters": 50})
    with pytest.raises(
        ConfigError, match=r"can ever meet macs-share of at most 0\.05.*less than 0\.1; bytes of at most"
    ):
        measures.check_reachable({"macs": 100.0, "parameters": 20.0, "bytes": 300.0})
    measures.check_reachable({"macs": 50.0, "parameters": 20.0, "bytes": 200.0})  # just met


def test_the_share_of_a_latency_is_of_what_was_measured_of_the_unpruned_network() -> None:
    measures = measures_of(("milliseconds", "error"), {"milliseconds-share": 0.6, SPREAD: 9.0})
    assert measures.needed == {"milliseconds", "error", SPREAD}
    assert [(each.name, each.unit) for each in measures.constraints] == [
        ("milliseconds-share-bound", "of unpruned"),
        ("milliseconds-spread-bound", "ms"),
    ]
    values = {"milliseconds": 3.0, "error": 0.1, SPREAD: 0.5}
    assert measures.row(values, {**UNPRUNED, "milliseconds": 12.0}) == [3.0, 0.1, 0.25, 0.5]
