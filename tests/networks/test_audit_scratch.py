"""Do inherited weights matter: both verdicts on real networks, equal compute, and the arithmetic of the comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from digits_for_tests import digits_bench, digits_data, digits_scores
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.channels.audits.audit import FineTuned
from emoprune.problems.networks.channels.audits.comparison import Arm, Difference, lower_error, pooled
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.channels.audits.scratch import (
    ARMS,
    FromScratch,
    ShapeTrials,
    criterion_finding,
    shape_finding,
)
from emoprune.problems.networks.channels.audits.trials import Trials
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.space import IntArray

SHAPE = np.array([12, 12, 24, 24, 24])


def slicer_of(scores: Sequence[Scores]) -> Slicer:
    return Slicer(digits_bench(), scores)


def arms_of(
    widths: IntArray, *, epochs: float, scratch: FromScratch, images: int | None = None, repeats: int = 2, seed: int = 0
) -> list[Arm]:
    training = TrainingImages.load(digits_data().train, "cpu", images)
    trials = Trials(Plan(epochs), repeats, seed)
    return ShapeTrials(digits_scores(), slicer_of, digits_bench(), training, trials, scratch).arms(widths, 0)


def share_of(widths: IntArray) -> float:
    model = CostModel.of(digits_bench().network, digits_bench().structure)
    own, full = model.macs(np.stack([widths, digits_bench().structure.units]))
    return float(own / full)


def test_with_few_labels_and_a_short_training_the_weights_matter() -> None:
    arms = arms_of(SHAPE, epochs=3, scratch=FromScratch(3, cap=2.0), images=300)
    found = shape_finding(arms, "this shape")
    assert "At this shape the weights matter" in found.sentence
    assert found.low is not None
    assert found.low > 0
    assert not found.alarm
    assert arms[0].error < 0.3 < min(arms[1].error, arms[2].error)


def test_with_all_labels_and_a_long_training_only_the_shape_matters() -> None:
    arms = arms_of(SHAPE, epochs=1, scratch=FromScratch(12, cap=2.0))
    found = shape_finding(arms, "this shape")
    assert "At this shape only the shape matters" in found.sentence
    assert found.low is not None
    assert found.low <= 0
    assert arms[2].error < 0.1


def test_training_at_equal_compute_takes_what_the_unpruned_training_took_within_a_twentieth() -> None:
    for widths in (SHAPE, np.array([20, 9, 33, 64, 5]), np.array([31, 30, 64, 60, 64])):
        arms = arms_of(widths, epochs=0.2, scratch=FromScratch(0.7, cap=100.0), repeats=1)
        by_name = {arm.name: arm for arm in arms}
        assert by_name["from scratch, equal compute"].compute == pytest.approx(1.0, abs=0.05)
        assert by_name["from scratch"].compute == pytest.approx(share_of(widths), rel=0.1)
        assert "capped" not in shape_finding(arms, "this shape").sentence


def test_a_capped_training_is_called_so() -> None:
    arms = arms_of(SHAPE, epochs=0.2, scratch=FromScratch(0.5, cap=1.5), repeats=1, images=256)
    assert arms[2].epochs == pytest.approx(0.75)
    assert arms[2].compute == pytest.approx(1.5 * share_of(SHAPE), rel=0.05)
    sentence = shape_finding(arms, "this shape").sentence
    assert f"capped at {arms[2].compute:.0%} of the unpruned network's own" in sentence


def test_a_small_shape_shows_that_the_criterions_units_matter() -> None:
    arms = arms_of(np.array([4, 4, 8, 8, 8]), epochs=2, scratch=FromScratch(0.2, cap=1.0), repeats=3)
    found = criterion_finding(arms, "this shape")
    control = {arm.name: arm.error for arm in arms[3:]}
    assert arms[0].error < min(control.values())
    assert found.value == pytest.approx(float(np.mean(list(control.values()))) - arms[0].error)
    assert found.alarm == (found.low is not None and found.low <= 0)


@pytest.mark.parametrize(("other", "alarm"), [(10, True), (12, True), (60, False)])
def test_a_criterion_that_random_units_do_as_well_as_is_an_alarm(other: int, alarm: bool) -> None:
    def arm(name: str, wrong: int) -> Arm:
        return Arm(name, np.tile(np.arange(200) < wrong, (3, 1)), 1.0, 1.0)

    arms = [arm(name, other if "units" in name or "shuffled" in name else 10) for name in ARMS]
    found = criterion_finding(arms, "0.5 of the MACs")
    assert found.alarm == alarm
    said = "the criterion is no better than random units" if alarm else "it matters which units stay"
    assert found.sentence.startswith(f"At 0.5 of the MACs {said}: error 0.0500 with the criterion's units")


def test_an_arm_of_random_units_inherits_its_weights_and_an_arm_from_scratch_does_not() -> None:
    shapes = ShapeTrials(
        digits_scores(),
        slicer_of,
        digits_bench(),
        TrainingImages.load(digits_data().train, "cpu", 64),
        Trials(Plan(1), 1, 0),
        FromScratch(),
    )
    unpruned = digits_bench().network.get_parameter("conv1.weight").flatten(1)
    kept = {}
    for name in ARMS:
        weight = shapes._start(name, SHAPE, 5).get_parameter("conv1.weight").detach().flatten(1)
        assert weight.shape == (12, 9)
        same = (weight[:, None] == unpruned[None]).all(dim=2)
        kept[name] = tuple(same.nonzero()[:, 1].tolist())
    inherited = [name for name in ARMS if len(kept[name]) == 12]
    assert inherited == ["fine-tuned", "random units, fine-tuned", "shuffled scores, fine-tuned"]
    assert len({kept[name] for name in inherited}) == 3
    assert kept["from scratch"] == kept["from scratch, equal compute"] == ()


def test_equal_seeds_train_equal_arms() -> None:
    one, other, third = (
        arms_of(SHAPE, epochs=0.2, scratch=FromScratch(0.2, cap=2.0), repeats=1, images=64, seed=seed)
        for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a.wrong, b.wrong) for a, b in zip(one, other, strict=True))
    assert not all(np.array_equal(a.wrong, b.wrong) for a, b in zip(one, third, strict=True))


def test_an_audit_with_scratch_says_it_of_each_shape_and_shows_every_way() -> None:
    widths = np.stack([SHAPE // 2, SHAPE, SHAPE * 2])
    bench = digits_bench()
    table = [np.arange(1, units + 1) for units in bench.structure.units]
    runner = PlainRunner(bench, AdaptiveBatchNorm())
    front = ChannelFront(widths, digits_scores(), slicer_of, bench, runner, digits_data().train, table, seed=0)
    audit = FineTuned(
        epochs=0.2,
        repeats=1,
        training_images=128,
        siblings=0,
        scratch=True,
        scratch_points=2,
        scratch_epochs=0.5,
        scratch_cap=2.0,
    )
    found = audit(front)
    names = [own.name for own in found.findings if own.name.startswith("weights against shape")]
    assert names == [f"weights against shape at {share_of(own):.2f} of the MACs" for own in widths[[0, 2]]]
    rows = found.tables["fine-tuned and from scratch"]
    assert [row["way"] for row in rows] == [*ARMS, *ARMS]


def test_a_cap_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="scratch_cap: expected 1 or more"):
        FromScratch(cap=0.5)


def arm(name: str, *repeats: Sequence[int], images: int = 10) -> Arm:
    """Return an arm of which each repeat errs on the images named."""
    wrong: NDArray[np.bool_] = np.zeros((len(repeats), images), dtype=np.bool_)
    for row, errs in zip(wrong, repeats, strict=True):
        row[list(errs)] = True
    return Arm(name, wrong, 1.0, 1.0)


def test_the_standard_error_pools_repeats_and_images_as_worked_out_by_hand() -> None:
    one, other = arm("one", [0, 1, 2], [0, 1]), arm("other", [0], [0])
    found = Difference.of(one, other)
    assert found.value == pytest.approx(0.25 - 0.1)
    repeats = 0.005 / 2  # errors 0.3 and 0.2 have a variance of 0.005; those of the other one none
    by_image = np.array([0, 1, 0.5, 0, 0, 0, 0, 0, 0, 0])
    images = by_image.var(ddof=1) / 10
    assert found.standard_error == pytest.approx(np.sqrt(repeats + images))
    assert (found.low, found.high) == pytest.approx((0.15 - 2 * found.standard_error, 0.15 + 2 * found.standard_error))


def test_images_that_both_arms_err_on_do_not_count_as_uncertainty() -> None:
    both = [0, 1, 2, 3, 4]
    assert Difference.of(arm("one", both), arm("other", both)).standard_error == 0.0


def verdict(tuned: Arm, scratch: Arm) -> str:
    return shape_finding([tuned, scratch, scratch, tuned, tuned], "it").sentence


def test_the_verdicts_follow_from_two_standard_errors() -> None:
    good, bad = arm("fine-tuned", range(5), range(5), images=100), arm("other", range(50), range(50), images=100)
    assert "At it the weights matter" in verdict(good, bad)
    assert "only the shape matters, and training it from scratch is better" in verdict(bad, good)
    assert "At it only the shape matters:" in verdict(good, good)
    slightly = arm("slightly", range(6), range(6), images=100)
    assert "At it only the shape matters:" in verdict(good, slightly)
    assert shape_finding([bad, good, good, bad, bad], "it").alarm
    assert not shape_finding([good, bad, bad, good, good], "it").alarm


def test_fine_tuning_is_held_against_the_better_of_both_trainings_from_scratch() -> None:
    tuned, short, long = arm("t", range(5)), arm("s", range(9)), arm("l", range(2))
    assert lower_error([short, long]).name == "l"
    assert shape_finding([tuned, short, long, tuned, tuned], "it").value == pytest.approx(0.2 - 0.5)


def test_the_criterion_is_held_against_both_controls_together() -> None:
    tuned, random, shuffled = arm("t", [0]), arm("r", range(4)), arm("s", range(6))
    both = pooled("both", [random, shuffled])
    assert both.errors.tolist() == [0.4, 0.6]
    found = criterion_finding([tuned, tuned, tuned, random, shuffled], "it")
    assert found.value == pytest.approx(0.5 - 0.1)


@given(st.integers(1, 4), st.integers(2, 30), st.integers(0, 2**32 - 1))
def test_a_difference_turned_round_is_its_opposite(repeats: int, images: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = (Arm("", rng.random((repeats, images)) < 0.4, 1, 1) for _ in range(2))
    forth, back = Difference.of(one, other), Difference.of(other, one)
    assert forth.value == pytest.approx(-back.value)
    assert forth.standard_error == pytest.approx(back.standard_error)
    assert Difference.of(one, one).value == 0.0


def test_an_arm_without_repeats_is_refused() -> None:
    with pytest.raises(ContractError, match="expected repeats by images"):
        Arm("none", np.zeros((0, 10), dtype=np.bool_), 1, 1)
