"""Statistics of proxies, against hand-worked cases, scipy, and rankings that mean nothing."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from emoprune.contracts import FloatArray
from emoprune.errors import ContractError
from emoprune.problems.networks.evaluation.chance import chance_finding, indistinguishable_from_guessing
from emoprune.problems.networks.statistics.correlations import (
    Statistic,
    anomaly_ratio,
    kendall_tau,
    partial_tau,
    regret,
    spearman,
)
from emoprune.problems.networks.statistics.fidelity import (
    Ranked,
    fidelity_findings,
)
from emoprune.problems.networks.statistics.intervals import bootstrapped, wilson

NUMBERS = st.integers(0, 12).map(float)  # few values, so that ties are common


def column(count: int) -> st.SearchStrategy[FloatArray]:
    return arrays(np.float64, count, elements=NUMBERS)


PAIRED = st.integers(3, 14).flatmap(lambda count: st.tuples(column(count), column(count)))


def value(statistic: Statistic, count: int) -> float:
    return float(statistic(np.ones((1, count)))[0])


def of(*numbers: float) -> FloatArray:
    return np.array(numbers, dtype=np.float64)


def test_tau_of_four_candidates_is_the_one_counted_by_hand() -> None:
    # of the six pairs five are in the same order and one, the last, is not
    assert value(kendall_tau(of(1, 2, 3, 4), of(1, 2, 4, 3)), 4) == pytest.approx(4 / 6)
    assert value(kendall_tau(of(1, 2, 3), of(30, 20, 10)), 3) == -1.0


def test_tau_within_bands_compares_no_candidates_of_different_bands() -> None:
    proxy, final = of(1, 2, 11, 12), of(8, 9, 2, 1)
    assert value(kendall_tau(proxy, final, np.array([0, 0, 1, 1])), 4) == 0.0  # one pair each way
    assert value(kendall_tau(proxy, final), 4) == pytest.approx((1 - 1 - 4) / 6)


def test_anomaly_ratio_and_regret_of_four_candidates_are_those_counted_by_hand() -> None:
    proxy, final = of(0.1, 0.2, 0.3, 0.4), of(0.30, 0.35, 0.25, 0.20)
    assert value(anomaly_ratio(proxy, final), 4) == 2 / 4  # the last two beat the first
    assert value(regret(proxy, final), 4) == pytest.approx(0.10)
    bands = np.array([0, 0, 1, 1])  # within the first nothing beats the first; in the second the last beats the third
    assert value(anomaly_ratio(proxy, final, bands), 4) == 1 / 4
    assert value(regret(proxy, final, bands), 4) == pytest.approx((0.0 * 2 + 0.05 * 2) / 4)


def test_a_ranking_that_cost_alone_makes_has_no_partial_tau() -> None:
    cost = of(1, 2, 3, 4, 5)
    assert math.isnan(value(partial_tau(-cost, -cost, cost), 5))


def test_partial_tau_takes_out_what_the_cost_explains() -> None:
    rng = np.random.default_rng(0)
    cost, noise = rng.normal(size=400), rng.normal(size=(2, 400))
    proxy, final = cost + noise[0], cost + noise[1]
    assert value(kendall_tau(proxy, final), 400) > 0.25
    # Kendall's partial tau of normal variables is not quite 0 when their partial correlation is
    assert abs(value(partial_tau(proxy, final, cost), 400)) < 0.12
    assert value(partial_tau(proxy, proxy + 0.1 * noise[1], cost), 400) > 0.8


@given(PAIRED)
def test_tau_and_spearman_agree_with_scipy_also_on_ties(pair: tuple[FloatArray, FloatArray]) -> None:
    proxy, final = pair
    assume(np.ptp(proxy) > 0 and np.ptp(final) > 0)
    count = len(proxy)
    assert value(kendall_tau(proxy, final), count) == pytest.approx(stats.kendalltau(proxy, final).statistic, abs=1e-12)
    assert value(spearman(proxy, final), count) == pytest.approx(stats.spearmanr(proxy, final).statistic, abs=1e-12)


@given(PAIRED, st.integers(0, 2**32 - 1))
def test_counts_mean_the_same_as_candidates_written_down_so_often(
    pair: tuple[FloatArray, FloatArray], seed: int
) -> None:
    proxy, final = pair
    counts = np.random.default_rng(seed).multinomial(len(proxy), np.full(len(proxy), 1 / len(proxy)))
    repeated = [np.repeat(own, counts) for own in pair]
    assume(all(np.ptp(own) > 0 for own in repeated))
    weighted = counts[np.newaxis].astype(np.float64)
    for make, reference in ((kendall_tau, stats.kendalltau), (spearman, stats.spearmanr)):
        assert make(proxy, final)(weighted)[0] == pytest.approx(reference(*repeated).statistic, abs=1e-12)
    for statistic in (anomaly_ratio, regret):
        expected = value(statistic(*repeated), len(proxy))
        assert statistic(proxy, final)(weighted)[0] == pytest.approx(expected, abs=1e-12)


@given(PAIRED, st.floats(0.1, 3.0), st.floats(-5, 5))
def test_what_goes_by_ranks_does_not_see_a_rising_transformation(
    pair: tuple[FloatArray, FloatArray], scale: float, shift: float
) -> None:
    proxy, final = pair
    changed = np.exp(scale * (proxy / 12)) + shift
    assume(len(np.unique(changed)) == len(np.unique(proxy)))
    for statistic in (kendall_tau, spearman, anomaly_ratio, regret):
        one, other = (value(statistic(own, final), len(proxy)) for own in (proxy, changed))
        assert one == pytest.approx(other, abs=1e-12, nan_ok=True)
    for statistic in (kendall_tau, spearman, anomaly_ratio):
        one, other = (value(statistic(own, changed), len(proxy)) for own in (final, final))
        same = value(statistic(final, proxy), len(proxy))
        assert one == pytest.approx(same, abs=1e-12, nan_ok=True)
        assert other == pytest.approx(same, abs=1e-12, nan_ok=True)


@given(PAIRED)
def test_swapping_two_rankings_leaves_their_tau_and_reversing_one_turns_its_sign(
    pair: tuple[FloatArray, FloatArray],
) -> None:
    proxy, final = pair
    own = value(kendall_tau(proxy, final), len(proxy))
    assert value(kendall_tau(final, proxy), len(proxy)) == pytest.approx(own, abs=1e-12, nan_ok=True)
    assert value(kendall_tau(-proxy, final), len(proxy)) == pytest.approx(-own, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(("count", "bands"), [(8, 1), (16, 1), (6, 3)])
def test_the_interval_of_a_shuffled_proxy_holds_zero_at_the_nominal_rate(count: int, bands: int) -> None:
    rng = np.random.default_rng(7)
    groups = np.repeat(np.arange(bands), count)
    holding, trials = 0, 400
    for _ in range(trials):
        final = rng.normal(size=count * bands)
        found = bootstrapped(
            kendall_tau(rng.permutation(final), final, groups), count * bands, rng, groups, resamples=400
        )
        holding += found.low <= 0 <= found.high
    # three standard errors of a share of 0.95 in 400 trials are 0.033
    assert 0.917 <= holding / trials <= 0.985


def test_the_interval_of_a_faithful_proxy_leaves_zero_out() -> None:
    rng = np.random.default_rng(1)
    final = rng.normal(size=16)
    found = bootstrapped(kendall_tau(final + 0.2 * rng.normal(size=16), final), 16, rng)
    assert 0 < found.low < found.value < found.high <= 1


def test_equal_seeds_draw_equal_intervals() -> None:
    column_of = np.random.default_rng(2).normal(size=(2, 12))
    one, other, third = (
        bootstrapped(kendall_tau(*column_of), 12, np.random.default_rng(seed), resamples=300) for seed in (3, 3, 4)
    )
    assert one == other
    assert (one.low, one.high) != (third.low, third.high)


def test_bands_are_resampled_each_by_itself() -> None:
    drawn: list[FloatArray] = []

    def spy(counts: FloatArray) -> FloatArray:
        drawn.append(counts)
        return counts[:, 0]

    bootstrapped(spy, 7, np.random.default_rng(0), np.array([0, 0, 0, 1, 1, 1, 1]), resamples=50)
    assert (drawn[-1][:, :3].sum(axis=1) == 3).all()
    assert (drawn[-1][:, 3:].sum(axis=1) == 4).all()


@pytest.mark.parametrize(("wrong", "images"), [(0, 20), (7, 20), (20, 20), (530, 600)])
def test_the_score_interval_is_scipys(wrong: int, images: int) -> None:
    low, high = wilson(of(wrong), images)
    expected = stats.binomtest(wrong, images).proportion_ci(method="wilson")
    assert (low[0], high[0]) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


def test_scores_at_chance_level_raise_an_alarm_and_are_named() -> None:
    labels = np.repeat(np.arange(10), 60)
    errors = of(0.1, 0.85, 0.89, 0.905)
    assert indistinguishable_from_guessing(errors, labels).tolist() == [False, False, True, True]
    found = chance_finding(errors, labels)
    assert found.alarm
    assert found.value == 0.5
    assert "number 3, 4 along the front" in found.sentence
    assert not chance_finding(errors[:2], labels).alarm


def ranked(proxy: FloatArray, final: FloatArray, bands: list[int] | None = None) -> Ranked:
    spread = 1e-3 * np.random.default_rng(5).normal(size=(len(final), 2))
    own = None if bands is None else np.array(bands)
    return Ranked(proxy, final[:, np.newaxis] + spread, np.arange(len(final), 0, -1, dtype=np.float64), own)


def test_a_proxy_no_better_than_chance_is_called_so_over_the_front_and_at_equal_cost() -> None:
    final, proxy = of(*range(8)) / 10, of(3, 6, 1, 4, 7, 2, 5, 0) / 10
    rng = np.random.default_rng(0)
    findings = {
        found.name: found
        for found in fidelity_findings(ranked(proxy, final), ranked(proxy, final, [0, 0, 0, 0, 1, 1, 1, 1]), rng)
    }
    for where in ("over the front", "at equal cost"):
        found = findings[f"Kendall tau {where}"]
        assert found.alarm
        assert f"The proxy is no better than chance {where}" in found.sentence
        assert found.low is not None
        assert found.high is not None
        assert found.low <= 0 <= found.high
        assert "percentile bootstrap of 2,000" in found.sentence
    assert findings["anomaly ratio over the front"].alarm  # the last candidate is the worst of all
    assert findings["regret over the front"].value == pytest.approx(0.7, abs=0.01)


def test_a_faithful_proxy_raises_no_alarm_and_cost_alone_is_said() -> None:
    final = of(*range(10)) / 10
    findings = fidelity_findings(ranked(final * 0.9, final), None, np.random.default_rng(0))
    assert not any(found.alarm for found in findings)
    over = next(found for found in findings if found.name == "Kendall tau over the front")
    assert "better than chance" in over.sentence
    assert "Cost alone, the larger the better, gives 1.00" in over.sentence
    assert any(found.name == "Kendall tau between repeats over the front" for found in findings)


def test_too_few_candidates_are_not_judged() -> None:
    final = of(0.1, 0.2, 0.3, 0.4)
    found = fidelity_findings(ranked(final, final), None, np.random.default_rng(0))[0]
    assert found.alarm
    assert "too few" in found.sentence
    assert (found.low, found.high) == (-1.0, 1.0)


def test_candidates_that_score_alike_are_not_ranked() -> None:
    found = fidelity_findings(ranked(np.full(8, 0.5), of(*range(8))), None, np.random.default_rng(0))[0]
    assert found.alarm
    assert "undefined" in found.sentence


def test_a_proxy_that_ranks_backwards_is_called_so() -> None:
    final = of(*range(8))
    found = fidelity_findings(ranked(-final, final), None, np.random.default_rng(0))[0]
    assert found.alarm
    assert found.value == -1.0
    assert "ranks backwards" in found.sentence


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ContractError, match="columns of one length"):
        kendall_tau(of(1, 2, 3), of(1, 2))
    with pytest.raises(ContractError, match="NaN or infinities"):
        spearman(of(1, 2, math.nan), of(1, 2, 3))
    with pytest.raises(ContractError, match=r"\(n, repeats\)"):
        Ranked(of(1, 2), of(1, 2), of(1, 2))
    with pytest.raises(ContractError, match="at least 1 trial"):
        wilson(of(0), 0)


@settings(deadline=None, max_examples=25)
@given(PAIRED)
def test_every_estimate_lies_where_its_statistic_can(pair: tuple[FloatArray, FloatArray]) -> None:
    rng = np.random.default_rng(0)
    for make, least, most in ((kendall_tau, -1, 1), (spearman, -1, 1), (anomaly_ratio, 0, 1), (regret, 0, math.inf)):
        found = bootstrapped(make(*pair), len(pair[0]), rng, resamples=60)
        if found.defined:
            assert least <= found.low <= found.high <= most


def test_tau_counts_pairs_as_a_loop_over_them_does() -> None:
    rng = np.random.default_rng(11)
    proxy, final, bands = rng.integers(0, 5, 12) * 1.0, rng.integers(0, 5, 12) * 1.0, rng.integers(0, 3, 12)
    both = one = other = 0.0
    for i, j in combinations(range(12), 2):
        if bands[i] == bands[j]:
            first, second = np.sign(proxy[i] - proxy[j]), np.sign(final[i] - final[j])
            both, one, other = both + first * second, one + abs(first), other + abs(second)
    assert value(kendall_tau(proxy, final, bands), 12) == pytest.approx(both / math.sqrt(one * other))
