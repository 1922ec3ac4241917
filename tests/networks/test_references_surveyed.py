"""References of networks that have to be measured for: by the workers, in generation 0, and options from the config."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from searching_for_tests import searched_run

from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.channels.references.eagle_eye import BAND
from emoprune.problems.networks.subnetworks.problem import Subnetworks
from emoprune.run import Run
from emoprune.testing import ProblemConformance

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}
EAGLE_EYE = {"name": "eagle-eye", "percentages": [70], "candidates": 3}
SURVEYING = {"references": [{"name": "uniform", "percentages": [40]}, "sensitivity", EAGLE_EYE]}


@pytest.mark.usefixtures("unverified")  # TestDigits waits for the fresh process, with the same problem
class TestSurveyingNetwork(ProblemConformance):
    genomes = 1

    def problem(self) -> Channels:
        return Channels(**SMALL, **SURVEYING)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = {
        "problem": {"name": "channels", **SMALL, **SURVEYING, "epochs": 2},
        "search": {"population": 12, "generations": 2},
        "evaluation": {"backend": "serial"},
    }
    return searched_run(config, runs=tmp_path_factory.mktemp("runs"), name="r")


def test_what_sensitivity_and_eagle_eye_measure_is_in_the_history_of_generation_0(run: Run) -> None:
    first = run.history[run.history["generation"] == 0]
    alone = (6 - 1) + (9 - 1) + (7 - 1)  # of every group each width below full
    kept = json.loads((run.path / "problem" / "references.json").read_text(encoding="utf-8"))["starts"]
    wanted = {method: sum(map(len, own.values())) for method, own in kept.items()}
    assert wanted["sensitivity"] == alone
    assert 1 <= wanted["eagle-eye"] <= 3
    assert (first["origin"] == "start").sum() == alone + wanted["eagle-eye"]
    assert first["status"].eq("ok").all()
    assert run.generations["evaluated"].iloc[0] == len(first)


def test_what_they_picked_is_named_and_stands_in_the_front_table(run: Run) -> None:
    names = list(run.references.values())
    assert names[:2] == ["unpruned", "uniform-40"]
    assert {name.rpartition("-")[0] for name in names[2:]} <= {"sensitivity", "eagle-eye"}
    assert "eagle-eye-70" in names
    assert set(names) <= set(run.pareto["name"])


def test_eagle_eye_is_the_best_of_what_was_measured_for_it(run: Run) -> None:
    first = run.history[(run.history["generation"] == 0) & (run.history["origin"] == "start")].set_index("candidate")
    number = next(number for number, name in run.references.items() if name == "eagle-eye-70")
    unpruned = run.history.set_index("candidate").loc[0, "obj.macs"]
    inside = first[(first["obj.macs"] / unpruned - 0.7).abs() <= BAND + 1e-9]
    assert inside.loc[number, "obj.error"] == inside["obj.error"].min()


def test_options_of_a_method_reach_it_from_the_config(tmp_path: Path) -> None:
    problem = Channels(**SMALL, references=[{"name": "erk", "percentages": [60]}])
    problem.prepare(tmp_path, 1)
    assert [each.name for each in problem.references()] == ["unpruned", "erk-60"]
    assert len(problem.starts()) == 0
    assert problem.surveyed(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 2))) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"references": ["sensitivity"], "objectives": ["macs", "parameters"]}, "picks by how good outputs are"),
        ({"references": [{"name": "eagle-eye", "candidates": 0}]}, "candidates: expected at least 1"),
        ({"references": [{"name": "erk", "share": 3}]}, "reference 'erk': share: unknown option"),
    ],
)
def test_references_that_cannot_be_made_are_refused_before_anything_is_prepared(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Channels(**SMALL, **options)


def test_a_network_that_is_searched_in_parts_takes_no_references_that_measure_all_of_it() -> None:
    with pytest.raises(
        ConfigError, match="references: no reference is called 'sensitivity'; one of that name serves channels"
    ):
        Subnetworks(**SMALL, references=["sensitivity"])
