"""Whole searches on Ray: the same history as in process, on one node, on two, and with a node lost under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import ray
from problems_for_tests import GradedKnapsack12, HalvedKnapsack, Knapsack12, SurveyingKnapsack12
from ray.cluster_utils import Cluster
from searching_for_tests import searched_run

import emoprune
from emoprune.contracts import Problem
from emoprune.errors import ResourcesUnavailable
from emoprune.run import Run

pytestmark = pytest.mark.timeout(240)  # Ray takes seconds to start, and more on a busy machine


def settings(**evaluation: Any) -> dict[str, Any]:
    return {
        "search": {"population": 16, "generations": 5, "seed": 5},
        "evaluation": {"backend": "ray", "workers": 2, "cpus_per_worker": 0.5, **evaluation},
    }


SERIAL: dict[str, Any] = {"backend": "serial", "workers": "auto"}


def run_of(runs: Path, name: str, problem: Problem, **evaluation: Any) -> Run:
    return searched_run(settings(**evaluation), problem=problem, runs=runs, name=name)


def assert_equal_but_for_who_ran_it(one: Run, other: Run) -> None:
    ran = ["worker", "seconds", "attempts"]
    pd.testing.assert_frame_equal(one.history.drop(columns=ran), other.history.drop(columns=ran))
    pd.testing.assert_frame_equal(one.generations.drop(columns="seconds"), other.generations.drop(columns="seconds"))
    pd.testing.assert_frame_equal(
        one.pareto.drop(columns=["worker", "wall_s"]), other.pareto.drop(columns=["worker", "wall_s"])
    )
    assert one.references == other.references
    for stage, same in zip(one.stages.values(), other.stages.values(), strict=True):
        assert_equal_but_for_who_ran_it(stage, same)


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("serial"), "serial", Knapsack12(noise=0.1), **SERIAL)


@pytest.fixture
def two_nodes() -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


class TestOnARayAtHand:
    @pytest.fixture(autouse=True, scope="class")
    def two_cpus(self) -> Iterator[None]:
        """A Ray that searches find in this process, and leave to it."""
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        assert ray.is_initialized()
        ray.shutdown()

    @pytest.mark.parametrize(("workers", "chunk"), [(1, "auto"), (2, "auto"), (3, 1), (2, 16)])
    def test_the_number_of_workers_and_the_size_of_chunks_change_nothing_in_the_history(
        self, tmp_path: Path, in_process: Run, workers: int, chunk: str | int
    ) -> None:
        run = run_of(tmp_path, "here", Knapsack12(noise=0.1), workers=workers, chunk=chunk)
        assert_equal_but_for_who_ran_it(in_process, run)
        assert len(set(run.history["worker"])) <= workers

    def test_grades_have_the_same_history_as_in_process(self, tmp_path: Path) -> None:
        here = run_of(tmp_path, "here", GradedKnapsack12(digits=1), chunk=1)
        assert_equal_but_for_who_ran_it(run_of(tmp_path, "serial", GradedKnapsack12(digits=1), **SERIAL), here)
        assert here.history["con.blocks"].min() < here.history["con.blocks"].max()

    @pytest.mark.parametrize("kind", [HalvedKnapsack, SurveyingKnapsack12])
    def test_stages_and_surveys_have_the_same_history_as_in_process(
        self, tmp_path: Path, kind: type[HalvedKnapsack | SurveyingKnapsack12]
    ) -> None:
        here = run_of(tmp_path, "here", kind(noise=0.02))
        assert_equal_but_for_who_ran_it(run_of(tmp_path, "serial", kind(noise=0.02), **SERIAL), here)
        assert bool(here.stages) == (kind is HalvedKnapsack)


def test_a_run_begun_in_process_goes_on_on_ray_and_ends_the_same(tmp_path: Path, in_process: Run) -> None:
    problem = Knapsack12(noise=0.1)
    searching = emoprune.search(settings(**SERIAL), problem=problem, runs=tmp_path, name="mixed")
    for generation in searching:
        if generation.index == 1:
            searching.stop()
    again = emoprune.resume(
        searching.run, problem=problem, overrides=["evaluation.backend=ray", "evaluation.workers=2"]
    )
    assert len(list(again)) == 3
    assert not ray.is_initialized()
    assert_equal_but_for_who_ran_it(in_process, again.run)


def test_a_node_removed_in_mid_generation_changes_nothing_in_the_history(
    tmp_path: Path, in_process: Run, two_nodes: Cluster
) -> None:
    doomed = two_nodes.add_node(num_cpus=1)
    ray.init(address=two_nodes.address, log_to_driver=False)
    searching = emoprune.search(
        settings(cpus_per_worker=1, chunk=2), problem=Knapsack12(noise=0.1, pause=0.05), runs=tmp_path, name="lost"
    )
    removed = threading.Event()

    def remove_in_mid_generation() -> None:
        while searching.progress.evaluated < 20:
            time.sleep(0.02)
        two_nodes.remove_node(doomed)
        removed.set()

    thread = threading.Thread(target=remove_in_mid_generation, daemon=True)
    thread.start()
    for _ in searching:
        pass
    assert removed.wait(60)
    assert_equal_but_for_who_ran_it(in_process, searching.run)
    assert searching.run.history["status"].eq("ok").all()


def test_more_than_the_machine_has_is_refused_before_a_run_folder_exists(tmp_path: Path) -> None:
    with pytest.raises(ResourcesUnavailable, match="have"):
        run_of(tmp_path / "runs", "r", Knapsack12(), workers=500, cpus_per_worker=1)
    assert not (tmp_path / "runs").exists()
    assert not ray.is_initialized()
