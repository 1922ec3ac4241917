"""Networks measured a few blocks of images at a time: alike blocks, the same numbers, and what is measured in full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks_for_tests import many_stripes
from searching_for_tests import searched_run

from emoprune.contracts import Problem, blocks_of
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.evaluation.blocks import ImageBlocks, grades_of
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.networks.subnetworks.problem import Subnetworks
from emoprune.records import Split
from emoprune.testing import ProblemConformance

MANY = {"network": "networks_for_tests:network", "data": "networks_for_tests:many_stripes", "calibration_images": 64}


def channels(**options: Any) -> Channels:
    return Channels(**{**MANY, "epochs": 2, "objectives": ["error", "macs"], **options})


@pytest.mark.usefixtures("unverified")
class TestChannelsInBlocks(ProblemConformance):
    genomes = 3

    def problem(self) -> Problem:
        return channels(objectives=["loss", "macs", "kl"], at_most={"error": 0.5, "macs-share": 0.7})


@pytest.mark.slow
@pytest.mark.usefixtures("unverified")
class TestWeightsInBlocks(ProblemConformance):
    genomes = 3

    def problem(self) -> Problem:
        return WeightRatios(**{**MANY, "epochs": 1, "objectives": ["error", "parameters"], "references": []})


def test_blocks_have_the_same_share_of_each_class_in_whatever_order_the_images_come() -> None:
    labels = np.sort(np.random.default_rng(0).integers(0, 5, 330))
    blocks = ImageBlocks.of(labels)
    assert blocks is not None
    counts = np.array([np.bincount(labels[blocks.of_image == block], minlength=5) for block in range(16)])
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert np.ptp(blocks.sizes) <= 1


def test_a_first_grade_is_four_blocks_or_more() -> None:
    assert [grades_of(blocks) for blocks in (2, 4, 8, 12, 16)] == [(2,), (4,), (4, 8), (6, 12), (4, 8, 16)]


@pytest.mark.parametrize(
    ("options", "noisy"),
    [
        ({}, ("error",)),
        ({"objectives": ["macs", "loss"], "at_most": {"error": 0.5}}, ("loss", "error-bound")),
        ({"data": "networks_for_tests:stripes"}, ()),
        ({"objectives": ["error", "milliseconds"]}, ()),
        ({"objectives": ["error", "pq-index"]}, ()),
        ({"objectives": ["macs", "parameters"]}, ()),
    ],
)
def test_what_is_no_mean_over_images_or_has_too_few_is_measured_in_full(
    options: dict[str, Any], noisy: tuple[str, ...]
) -> None:
    assert channels(**options).noisy == noisy


class Spread:
    """The root of the mean squared highest output."""

    unit = ""
    link = "root-mean"
    needs = "outputs"

    @property
    def direction(self) -> Any:
        from emoprune.contracts import Direction

        return Direction.MINIMISE

    def __call__(self, seen: Any) -> float:
        return float(self.examples(seen).mean().sqrt())

    def examples(self, seen: Any) -> torch.Tensor:
        return torch.as_tensor(seen.outputs.double().amax(dim=1).square())


@pytest.fixture
def ready(tmp_path: Path) -> Callable[[Channels], Channels]:
    def prepared(problem: Channels) -> Channels:
        problem.prepare(tmp_path, 1)
        problem.setup("cpu", 1)
        return problem

    return prepared


def test_an_objective_of_one_s_own_that_is_the_root_of_a_mean_has_standard_errors(
    ready: Callable[[Channels], Channels],
) -> None:
    problem = ready(channels(objectives=[f"{__name__}:Spread", "macs"]))
    known = blocks_of(problem)
    assert known is not None
    assert known.links == {"Spread": "root-mean"}
    genomes, seeds = problem.space.full[None], np.zeros(1, dtype=np.uint64)
    rows = np.asarray(problem.evaluate_blocks(genomes, seeds, Split.TEST, range(16))[0])
    whole = np.asarray(problem.evaluate(genomes, seeds, Split.TEST)[0])
    assert known.value("Spread", Split.TEST, rows[:, 0]) == pytest.approx(whole[0], rel=1e-5)


def test_all_images_of_a_part_are_in_its_blocks_once(ready: Callable[[Channels], Channels]) -> None:
    problem = ready(channels())
    data = many_stripes()
    assert sum(problem.block_sizes(Split.SEARCH)) == len(data.part(Split.SEARCH).labels)


def test_parts_on_fewer_images_are_measured_in_full_and_others_in_blocks(tmp_path: Path) -> None:
    search = {"population": 6, "generations": 2}
    options = {**MANY, "name": "subnetworks", "epochs": 1, "parts": 2, "part_search": search, "genes": "levels"}
    for name, few in (("blocks", None), ("few", 20)):
        problem = Subnetworks(**{key: own for key, own in options.items() if key != "name"}, part_images=few)
        (tmp_path / name).mkdir()
        problem.prepare(tmp_path / name, 1)
        (first, *_) = problem.following({}, tmp_path / name, 1).stages
        assert (blocks_of(first.problem) is None) is (few is not None)
        assert problem.noisy


def test_a_search_of_widths_gives_candidates_up_and_measures_its_front_in_full(tmp_path: Path) -> None:
    settings = {
        "problem": {"name": "channels", **MANY, "epochs": 2},
        "search": {"population": 10, "generations": 4},
        "evaluation": {"backend": "serial"},
    }
    run = searched_run(settings, runs=tmp_path, name="r")
    assert set(run.progress.measured) > {"16"}
    frame = run.pareto
    assert (frame.loc[frame["rank"] == 1, "con.blocks"] == 16).all()
    assert frame.loc[frame["rank"] == 1, ["obj.error.se", "test.error.se"]].notna().all(axis=None)
