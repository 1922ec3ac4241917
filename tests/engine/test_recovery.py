from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from problems_for_tests import Knapsack12, OfferingKnapsack12
from searching_for_tests import searched_run

import emoprune
from emoprune.commands.recovery import recover
from emoprune.contracts import Recovered
from emoprune.doctor.checks import Health
from emoprune.doctor.repairing import repair
from emoprune.doctor.run_files import check_run
from emoprune.errors import ConfigError, ContractError, RunLocked, RunNotFound
from emoprune.records import Split
from emoprune.run import Run
from emoprune.run.locks import alone
from emoprune.space import IntArray
from emoprune.storage import read_lines

SETTINGS = {
    "problem": "problems_for_tests:OfferingKnapsack12",
    "search": {"population": 20, "generations": 3},
    "evaluation": {"backend": "serial"},
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return searched_run(SETTINGS, runs=tmp_path, name="r")


def test_a_recovery_writes_its_folder_and_a_line_with_the_values_before_and_after(run: Run) -> None:
    found = recover(run, "lightest", options=["epochs=2"])
    number = found["candidate"]
    assert run.references[number] == "lightest"
    assert found["path"] == str(run.path / "recovered" / str(number))
    kept = json.loads((run.path / "recovered" / str(number) / "knapsack.json").read_text())["items"]
    (line,) = read_lines(run.path / "recovered.jsonl")
    assert line == {name: value for name, value in found.items() if name != "path"}
    assert (line["options"], line["seed"]) == ({"epochs": 2, "heaviest": 30}, 1)
    assert line["before"]["search"] == run.evaluations()[number].values
    assert line["before"]["test"] == run.remeasured()[number, Split.TEST].values
    assert line["after"]["test"]["weight"] == sum(kept.values()) > line["before"]["test"]["weight"]
    assert line["after"]["search"]["loss"] < line["before"]["search"]["loss"]


class Evident(OfferingKnapsack12):
    """A knapsack that finds the one called lightest to be the best."""

    def best(self, front: Any, genomes: Mapping[int, IntArray], seed: int) -> int:
        return int(front.loc[front["name"] == "lightest", "candidate_id"].iloc[0])


def test_the_best_is_recovered_where_the_problem_finds_it_by_evidence_of_its_own(tmp_path: Path) -> None:
    settings = {name: own for name, own in SETTINGS.items() if name != "problem"}
    run = searched_run(settings, problem=Evident(), runs=tmp_path, name="evident")
    assert run.references[recover(run, "best", problem=Evident())["candidate"]] == "lightest"
    with pytest.raises(RunNotFound, match="has no best: its scores have no standard errors"):
        recover(run, "best", problem=OfferingKnapsack12())


def test_a_split_on_which_the_run_did_not_measure_the_candidate_has_no_values_before(run: Run) -> None:
    shown = set(run.pareto["candidate_id"])
    number = next(each.candidate.id for each in run.evaluations() if each.candidate.id not in shown)
    found = recover(run, str(number))
    assert found["before"]["test"] == {}
    assert found["before"]["search"]
    assert found["after"]["test"]


def test_a_second_recovery_replaces_the_folder_and_adds_a_line(run: Run) -> None:
    for epochs in (1, 3):
        recover(run, "lightest", options=[f"epochs={epochs}"])
    lines = read_lines(run.path / "recovered.jsonl")
    assert [line["options"]["epochs"] for line in lines] == [1, 3]
    (folder,) = (run.path / "recovered").iterdir()
    kept = json.loads((folder / "knapsack.json").read_text())["items"]
    assert sum(kept.values()) == lines[1]["after"]["test"]["weight"]


def test_what_is_wrong_with_the_question_is_said_before_anything_is_written(run: Run) -> None:
    with pytest.raises(RunNotFound, match=r"no candidate 'ligtest'; did you mean 'lightest'\?"):
        recover(run, "ligtest")
    with pytest.raises(ConfigError, match="--set epochs=0: expected an integer >= 1, found 0"):
        recover(run, "knee", options=["epochs=0"])
    with pytest.raises(ConfigError, match="Knapsack12 offers no recovery: it has no member 'recover'"):
        recover(run, "knee", problem=Knapsack12())
    with pytest.raises(ConfigError, match="genes changed"):
        recover(run, "knee", problem=OfferingKnapsack12(bits=13))
    assert not (run.path / "recovered").exists()
    assert not (run.path / "recovered.jsonl").exists()


class Broken(OfferingKnapsack12):
    """Writes half of it, then fails, or says something else."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def recover(self, genome: IntArray, folder: Path, seed: int) -> Any:  # type: ignore[override]  # no options
        (folder / "half").touch()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "kind", "complaint"),
    [
        (RuntimeError("loss is NaN"), RuntimeError, "loss is NaN"),
        ({}, ContractError, r"Broken\.recover: expected Recovered in return, found dict"),
        (
            Recovered({"test": {"los": 1.0}}, {}),
            ContractError,
            r"Broken\.recover: expected values of loss, weight on test, found one of 'los'",
        ),
    ],
)
def test_a_recovery_that_fails_leaves_neither_folder_nor_line(
    run: Run, answer: Any, kind: type[Exception], complaint: str
) -> None:
    with pytest.raises(kind, match=complaint):
        recover(run, "knee", problem=Broken(answer))
    assert list((run.path / "recovered").iterdir()) == []
    assert not (run.path / "recovered.jsonl").exists()


def test_two_recoveries_of_one_candidate_do_not_go_on_at_once(run: Run) -> None:
    with alone(run.path, "recover-0"):
        with pytest.raises(RunLocked, match="another process is at recover-0 already"):
            recover(run, "0")
        assert recover(run, "1")["candidate"] == 1


def test_a_run_that_was_given_its_problem_needs_it_again(tmp_path: Path) -> None:
    search = emoprune.search(SETTINGS, runs=tmp_path, name="r", problem=OfferingKnapsack12())
    for _ in search:
        pass
    with pytest.raises(ConfigError, match=r"recover from Python: emoprune\.commands\.recovery\.recover\(run"):
        recover(search.run, "0")
    assert recover(search.run, "0", problem=OfferingKnapsack12())["candidate"] == 0


def test_a_recovery_while_the_run_is_written_leaves_its_history_as_it_would_be(tmp_path: Path, run: Run) -> None:
    search = emoprune.search(SETTINGS, runs=tmp_path, name="again")
    for generation in search:
        recover(search.run, str(generation.front.ids[0]))
    columns = ["candidate", "genome", "obj.loss", "obj.weight"]
    assert search.run.history[columns].equals(run.history[columns])
    assert len(read_lines(search.run.path / "recovered.jsonl")) == 3


def test_recoveries_that_were_lost_or_are_another_runs_are_found_by_the_doctor(run: Run, tmp_path: Path) -> None:
    recover(run, "lightest")
    journal = run.path / "recovered.jsonl"
    before = journal.read_bytes()
    journal.unlink()
    (warned,) = [check for check in check_run(run.path) if check.health is not Health.OK]
    assert (warned.name, warned.health) == ("recovered.jsonl", Health.WARN)
    assert re.search(r"it has no line of \d+, which lie in recovered/", warned.found)
    other = emoprune.search(SETTINGS, overrides=["search.seed=2"], runs=tmp_path, name="other")
    list(other)
    recover(other.run, "lightest")
    journal.write_bytes(before + (other.run.path / "recovered.jsonl").read_bytes())
    (failed,) = [check for check in check_run(run.path) if check.health is not Health.OK]
    assert failed.found == "line 2 has another seed than the run: it is of another run"
    copy = repair(run.path).folder
    assert (copy / "recovered.jsonl").read_bytes() == before
    assert {check.health for check in check_run(copy)} == {Health.OK}
