"""Pruned reservoirs: Lyapunov exponents, noise pruning, what forecasts lose, what is exported and what is refused."""

from __future__ import annotations

import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoprune import plugins
from emoprune.contracts import Failure, Problem
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.reservoir.lyapunov import spectrum
from emoprune.problems.reservoir.noise import STABLE, betweenness, covariance, edge_importance
from emoprune.problems.reservoir.problem import ReservoirProblem
from emoprune.problems.reservoir.sample import sample
from emoprune.problems.reservoir.series import mackey_glass
from emoprune.problems.reservoir.standalone.reservoir import Reservoir
from emoprune.records import Split
from emoprune.testing import ProblemConformance, conformance

NAME = "reservoir"
SEED = np.zeros(1, dtype=np.uint64)


class TestReservoir(ProblemConformance):
    genomes = 3

    def problem(self) -> Problem:
        return sample()


@pytest.mark.slow
class TestSpikingReservoir(ProblemConformance):
    genomes = 3

    def problem(self) -> Problem:
        return sample(kind="spiking", objectives=["neurons"])


for _kind in ("criterion", "reference", "objective"):
    for _name, _entry in plugins.serving(_kind, NAME).items():
        if _entry.module.startswith("emoprune.problems.reservoir"):
            _class = conformance(_kind, _name, NAME, genomes=2)
            _quick = _kind == "reference"
            globals()[f"Test{_entry.attr}"] = _class if _quick else pytest.mark.slow(_class)


def prepared(folder: Path, **options: Any) -> ReservoirProblem:
    problem = sample(**options)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_the_largest_exponent_of_a_multiple_of_the_identity_is_its_logarithm(scale: float) -> None:
    found = spectrum(np.tile(scale * np.eye(6), (20, 1, 1)))
    np.testing.assert_allclose(found.exponents, np.log(scale), atol=1e-12)
    np.testing.assert_allclose(found.of_neurons, np.log(scale), atol=1e-12)


def test_exponents_of_a_constant_matrix_are_the_logarithms_of_its_eigenvalues() -> None:
    found = spectrum(np.tile(np.diag([2.0, 0.5, 0.9]), (300, 1, 1)))
    np.testing.assert_allclose(found.exponents, np.log([2.0, 0.9, 0.5]), atol=0.02)
    np.testing.assert_allclose(found.shares.sum(axis=0), 1)


@pytest.mark.parametrize("threshold", [None, 0.5])
def test_jacobians_are_the_derivative_of_a_step(threshold: float | None) -> None:
    rng = np.random.default_rng(0)
    own = Reservoir(
        0.4 * rng.normal(size=(5, 5)), rng.normal(size=5), rng.normal(size=5), rng.uniform(0.2, 1, 5), threshold
    )
    series = rng.normal(size=12)
    states = own.states(series)
    found = own.jacobians(states, series)
    assert found.shape == (11, 5, 5)
    if threshold is None:
        last, small = series[-1], 1e-6
        for neuron in range(5):
            moved = states[-2] + small * np.eye(5)[neuron]
            after = (1 - own.leak) * moved + own.leak * np.tanh(own.weights @ moved + own.inputs * last + own.bias)
            np.testing.assert_allclose((after - states[-1]) / small, found[-1][:, neuron], atol=1e-5)


def test_the_covariance_solves_its_equation() -> None:
    weights = 0.2 * np.random.default_rng(0).normal(size=(6, 6))
    found, decay = covariance(weights), np.eye(6) - weights
    np.testing.assert_allclose(decay @ found + found @ decay.T, np.eye(6), atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 5.0))
def test_edges_are_worth_something_where_they_are_and_nothing_where_not(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    weights = scale * rng.normal(size=(8, 8)) * (rng.random((8, 8)) < 0.4)
    found = edge_importance(weights)
    assert (found >= 0).all()
    assert np.isfinite(found).all()
    assert (found[weights == 0] == 0).all()
    assert STABLE < 1


def test_betweenness_counts_the_paths_through_a_neuron() -> None:
    chain = np.zeros((4, 4))
    chain[1, 0] = chain[2, 1] = chain[3, 2] = 1.0  # 0 -> 1 -> 2 -> 3
    assert betweenness(chain).tolist() == [0, 2, 2, 0]
    chain[3, 0] = 0.9  # now 0 reaches 3 at once
    assert betweenness(chain).tolist() == [0, 1, 1, 0]


def test_slow_neurons_remember_longer() -> None:
    own = Reservoir(np.zeros((2, 2)), np.ones(2), np.zeros(2), np.array([1.0, 0.1]))
    states = own.states(np.array([1.0, *np.zeros(10)]))
    assert abs(states[-1, 0]) < 1e-12 < states[-1, 1]


def test_a_spike_takes_the_threshold_off_and_fades() -> None:
    own = Reservoir(np.zeros((1, 1)), np.ones(1), np.zeros(1), np.array([0.5]), 1.0)
    assert own.states(np.array([1.5, 0.0, 0.0])).ravel().tolist() == [1.0, 0.5, 0.25]


def test_more_noise_keeps_fewer_of_the_same_edges_and_levels_that_keep_the_same_are_one(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    genes = problem._known
    kept = []
    for level in range(len(genes.space.genes) + 3):
        genome = genes.unpruned
        genome[2] = level
        kept.append(genes.decoded(genome).reservoir.weights != 0)
    assert all((less <= more).all() for less, more in pairwise(kept))
    assert kept[0].sum() < kept[-1].sum()
    nothing = np.array([0, 0, 0, 0, 0])  # a twentieth of twenty neurons
    (same,) = problem.canonical(nothing[np.newaxis])
    assert same[2:].tolist() == [7, len(genes.radii) - 1, 4]
    assert problem.describe(same)["edges"] == 0


def nrmse(problem: ReservoirProblem, name: str) -> float:
    genome = {each.name: each.genome for each in problem.references()}[name]
    ((error, *_),) = problem.evaluate(genome[np.newaxis], SEED, Split.TEST)
    return float(np.sqrt(error))


def test_forecasts_of_a_small_reservoir_are_better_than_the_mean(tmp_path: Path) -> None:
    problem = prepared(tmp_path, neurons=40, length=1200)
    assert nrmse(problem, "unpruned") < 0.2


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_fifth_of_the_neurons_by_noise_forecasts_no_worse_than_by_activity_in_ten_seeds(tmp_path: Path) -> None:
    found = []
    for seed in range(10):
        problem = ReservoirProblem(length=2000, reservoir_seed=seed, criteria=["noise", "activity", "slowness"])
        folder = tmp_path / str(seed)
        folder.mkdir()
        problem.prepare(folder, seed)
        found.append([nrmse(problem, f"{name}-20") for name in ("noise", "activity", "slowness")])
    noise, activity, slowness = np.mean(found, axis=0)
    assert noise <= activity
    # The time constants alone order the neurons about as well: what is gained on activity is not the noise's.
    assert slowness <= 1.1 * noise


def test_an_export_forecasts_without_emoprune(tmp_path: Path) -> None:
    problem = prepared(tmp_path, kind="spiking")
    genome = problem.references()[1].genome
    problem.export(genome, tmp_path / "out")
    network = runpy.run_path(str(tmp_path / "out" / "reservoir.py"))["load_reservoir"](tmp_path / "out")
    series = mackey_glass(300, seed=5)
    found = network.forecast(series)
    assert np.isnan(found[:40]).all()
    assert np.isfinite(found[40:]).all()
    with pytest.raises(ValueError, match=r"a series of more than 40 finite numbers, found shape \(40,\)"):
        network.forecast(series[:40])


def test_an_unstable_reservoir_is_a_failure_and_no_export(tmp_path: Path) -> None:
    problem = prepared(tmp_path, kind="spiking", radius=1e308, connectivity=1.0)
    ((row),) = problem.evaluate(problem.references()[0].genome[np.newaxis], SEED, Split.SEARCH)
    assert isinstance(row, Failure)
    assert row.reason == "the reservoir is unstable: its states are not finite; lower the spectral radius"
    with pytest.raises(ContractError, match="export: the reservoir is unstable"):
        problem.export(problem.references()[0].genome, tmp_path / "out")


def torn() -> Any:
    raise RuntimeError("the sensor is down")


def flat() -> Any:
    return np.ones(900)


def huge() -> Any:
    return 1e300 * np.sin(np.arange(900))


def gaps() -> Any:
    return np.where(np.arange(900) == 7, np.nan, np.sin(np.arange(900)))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"length": 150, "washout": 100}, r"at least \d+ steps for a washout of 100 and a horizon of 6, found 150"),
        ({"data": "nowhere.csv"}, "expected mackey-glass, a .csv or .npy file here"),
        ({"data": f"{__name__}:torn"}, "raised RuntimeError: the sensor is down"),
        ({"data": f"{__name__}:flat"}, "expected a series that varies, found 1"),
        ({"data": f"{__name__}:gaps"}, "one series of finite numbers"),
        ({"data": f"{__name__}:huge"}, r"expected numbers within 1e\+100, found .*; scale them"),
        ({"neurons": 2}, "neurons: expected at least 5, found 2"),
        ({"radius": 0.0}, r"radius: expected a number above 0, found 0\.0"),
        ({"connectivity": 1.5}, r"connectivity: expected a share of all pairs, at most 1, found 1\.5"),
        ({"time_constant": 0.5}, r"time_constant: expected at least one step, found 0\.5"),
        ({"criteria": []}, "criteria: expected one or more"),
        ({"criteria": ["noisy"]}, "criteria: .*'noisy'"),
        ({"references": [{"name": "ranked", "percentages": [33]}]}, "multiples of 5 from 5 to 95"),
        ({"criteria": [{"name": "noise", "steps": 3}]}, "noise: steps: expected at least 10, found 3"),
    ],
)
def test_what_cannot_be_forecast_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        ReservoirProblem(**options)


def test_series_are_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = mackey_glass(400)
    np.save("series.npy", values)
    np.savetxt("table.csv", np.column_stack([np.zeros(400), values]), delimiter=",", header="zero,wave", comments="")
    by_npy, by_csv = (
        ReservoirProblem(data=name, column=column, neurons=10)
        for name, column in (("series.npy", None), ("table.csv", "wave"))
    )
    assert by_npy.fingerprint() == by_csv.fingerprint()
    with pytest.raises(ConfigError, match=r"table\.csv has no column 'way', expected one of zero, wave"):
        ReservoirProblem(data="table.csv", column="way")
    (tmp_path / "torn.csv").write_text("wave\n1.0\nabc\n")
    with pytest.raises(ConfigError, match=r"torn\.csv cannot be read as numbers"):
        ReservoirProblem(data="torn.csv")


def test_a_picture_shows_what_came_and_what_was_forecast(tmp_path: Path) -> None:
    problem = prepared(tmp_path)
    picture = problem.picture(problem.space.full)
    assert "forecast" in picture.svg
    assert "neurons 20" in picture.caption


def test_the_pre_flight_says_how_stable_the_reservoir_is() -> None:
    summary = sample().inspect().summary
    assert -2 < summary["largest Lyapunov exponent"] < 0.2  # type: ignore[operator]  # it is a number
    assert summary["neurons"] == 20
