"""A search from config to front, in process: what it yields, writes, resumes and refuses."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from problems_for_tests import Knapsack12
from searching_for_tests import copied_run, searched_run
from strangers_for_tests import altered, strangers

import emoprune
from emoprune.commands.export import export
from emoprune.contracts import Constraint, Direction, Failure, Objective, Passage, Reference
from emoprune.errors import (
    ConfigError,
    ContractError,
    EvaluationsFailed,
    RunCorrupt,
    RunLocked,
    RunNotFound,
    TrustError,
    WorkersLost,
)
from emoprune.loop.search import Search
from emoprune.records import Generation, Split, State
from emoprune.run import Run, find_run
from emoprune.space import IntArray

KNAPSACK = "problems_for_tests:Knapsack12"
RAN = ["worker", "seconds", "attempts"]
TIMES = ["worker", "wall_s"]


def config(**search: Any) -> dict[str, Any]:
    return {
        "problem": {"name": KNAPSACK, "noise": 0.02},
        "search": {"population": 10, "generations": 6, "seed": 3, **search},
        "evaluation": {"backend": "serial"},
    }


def finished(runs: Path, name: str, settings: Mapping[str, Any] | None = None, **given: Any) -> Run:
    asked = settings or config()
    if given or "warm_start" in asked["search"]:  # which looks for a former run beside the new one
        return searched_run(asked, runs=runs, name=name, **given)
    return copied_run(asked, runs, name)


def assert_equal_runs(one: Run, other: Run) -> None:
    pd.testing.assert_frame_equal(one.history.drop(columns=RAN), other.history.drop(columns=RAN))
    pd.testing.assert_frame_equal(one.pareto.drop(columns=TIMES), other.pareto.drop(columns=TIMES))
    pd.testing.assert_frame_equal(one.generations.drop(columns="seconds"), other.generations.drop(columns="seconds"))
    csv = [pd.read_csv(run.path / "pareto.csv").drop(columns=TIMES) for run in (one, other)]
    pd.testing.assert_frame_equal(*csv)


def test_a_search_yields_its_generations_and_leaves_a_finished_run(tmp_path: Path) -> None:
    searching = emoprune.search(config(), runs=tmp_path, name="first")
    generations = list(searching)
    assert [each.index for each in generations] == list(range(6))
    assert [each.evaluated for each in generations] == [10, 20, 30, 40, 50, 60]
    assert all(isinstance(each, Generation) for each in generations)
    assert searching.ended == "all 6 generations done"
    assert searching.run.progress.state is State.FINISHED
    assert searching.run.name == "first"


def test_hypervolume_never_falls(tmp_path: Path) -> None:
    volumes = [generation.hypervolume for generation in emoprune.search(config(generations=12), runs=tmp_path)]
    assert volumes == sorted(volumes)
    assert volumes[-1] > volumes[0] > 0


def test_the_references_are_in_generation_0_and_in_the_front_table_the_unpruned_first(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    names = list(run.references.values())
    assert names[0] == "unpruned"
    assert run.history["origin"].head(len(names)).tolist() == [f"reference:{name}" for name in names]
    assert set(names) <= set(run.pareto["name"])
    assert run.history["generation"].head(len(names)).eq(0).all()


def test_every_row_on_the_front_was_measured_on_all_three_splits(tmp_path: Path) -> None:
    best = finished(tmp_path, "r").pareto.query("rank == 1")
    columns = [f"{split}.{name}" for split in ("obj", "select", "test") for name in ("loss", "weight")]
    assert best[columns].notna().all(axis=None)
    assert best["knee"].sum() == 1


def test_the_final_ranks_come_from_the_select_split(tmp_path: Path) -> None:
    frame = finished(tmp_path, "r", config(generations=15)).pareto
    best = frame[frame["rank"] == 1][["select.loss", "select.weight"]].to_numpy()
    for row in frame[["select.loss", "select.weight"]].to_numpy():
        dominated = ((best <= row).all(axis=1) & (best < row).any(axis=1)).any()
        assert dominated == (not (best == row).all(axis=1).any())


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    assert_equal_runs(finished(tmp_path, "one"), finished(tmp_path, "two"))


def test_another_seed_gives_another_run(tmp_path: Path) -> None:
    one, two = finished(tmp_path, "one"), finished(tmp_path, "two", config(seed=4))
    assert one.history["genome"].tolist() != two.history["genome"].tolist()


def test_a_run_continued_with_more_generations_equals_one_long_run(tmp_path: Path) -> None:
    whole = finished(tmp_path, "whole", config(generations=9))
    short = finished(tmp_path, "short", config(generations=4))
    assert short.progress.state is State.FINISHED
    list(emoprune.resume(short, overrides=["search.generations=9"]))
    assert_equal_runs(whole, short)
    assert short.config["search"]["generations"] == 9
    assert [each["generations"] for each in short.manifest["sessions"]] == [4, 9]


def test_leaving_the_loop_early_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    whole = finished(tmp_path, "whole")
    searching = emoprune.search(config(), runs=tmp_path, name="left")
    turns = iter(searching)
    next(turns), next(turns)
    turns.close()  # type: ignore[attr-defined]  # it is a generator, which is what a for-loop leaves
    assert searching.run.progress.state is State.INTERRUPTED
    list(emoprune.resume(tmp_path / "left"))
    assert_equal_runs(whole, searching.run)


@pytest.mark.parametrize("algorithm", ["nsga3", "sms-emoa", "age-moea2"])
def test_every_algorithm_of_pymoos_resumes_to_the_run_that_was_not_cut(tmp_path: Path, algorithm: str) -> None:
    whole = finished(tmp_path, "whole", config(algorithm=algorithm))
    assert whole.generations["hypervolume"].iloc[-1] > whole.generations["hypervolume"].iloc[0]
    for generation in (cut := emoprune.search(config(algorithm=algorithm), runs=tmp_path, name="cut")):
        if generation.index == 2:
            cut.stop()
    list(emoprune.resume(cut.run))
    assert_equal_runs(whole, cut.run)


def test_a_stop_finishes_what_is_under_way_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    whole = finished(tmp_path, "whole")
    searching = emoprune.search(config(), runs=tmp_path, name="stopped")
    for generation in searching:
        if generation.index == 2:
            searching.stop()
    assert searching.run.progress.state is State.INTERRUPTED
    assert "emoprune resume" in str(searching.ended)
    list(emoprune.resume(searching.run))
    assert_equal_runs(whole, searching.run)


def test_resuming_a_finished_run_pays_for_nothing(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    before = {name: (run.path / name).read_bytes() for name in ("history.jsonl", "remeasured.jsonl", "pareto.csv")}
    assert list(emoprune.resume(run)) == []
    assert before == {name: (run.path / name).read_bytes() for name in before}


def test_a_moved_run_can_be_opened_and_resumed(tmp_path: Path) -> None:
    whole = finished(tmp_path, "whole", config(generations=8))
    finished(tmp_path / "here", "r", config(generations=4))
    shutil.move(tmp_path / "here" / "r", tmp_path / "moved")
    list(emoprune.resume(tmp_path / "moved", overrides=["search.generations=8"]))
    assert_equal_runs(whole, emoprune.open_run(tmp_path / "moved"))


def test_a_run_folder_names_no_absolute_path(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    for file in run.path.rglob("*"):
        if file.is_file():
            assert str(tmp_path).encode() not in file.read_bytes(), file


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_newest_checkpoint_is_passed_over_and_said(tmp_path: Path, damage: str) -> None:
    whole = finished(tmp_path, "whole", config(generations=8))
    run = finished(tmp_path, "r", config(generations=5))
    newest = max((run.path / "checkpoints").iterdir())
    content = newest.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    newest.write_bytes({"truncated": content[:middle], "flipped": flipped, "empty": b""}[damage])
    searching = emoprune.resume(run, overrides=["search.generations=8"])
    turns = iter(searching)
    next(turns)
    assert any(newest.name in warning and "damaged" in warning for warning in searching.warnings)
    list(turns)
    assert_equal_runs(whole, searching.run)


def test_without_any_checkpoint_the_history_alone_is_enough(tmp_path: Path) -> None:
    whole = finished(tmp_path, "whole")
    run = finished(tmp_path, "r")
    before = (run.path / "history.jsonl").read_bytes()
    shutil.rmtree(run.path / "checkpoints")
    (run.path / "checkpoints").mkdir()
    list(emoprune.resume(run))
    assert (run.path / "history.jsonl").read_bytes() == before
    assert_equal_runs(whole, run)


def test_a_torn_last_line_of_the_history_is_cut_off_said_and_paid_again(tmp_path: Path) -> None:
    whole = finished(tmp_path, "whole")
    searching = emoprune.search(config(), runs=tmp_path, name="torn")
    turns = iter(searching)
    next(turns), next(turns)
    turns.close()  # type: ignore[attr-defined]  # it is a generator
    history = searching.run.path / "history.jsonl"
    for checkpoint in (searching.run.path / "checkpoints").glob("gen-00001.json"):
        checkpoint.unlink()
    history.write_bytes(history.read_bytes()[:-17])
    again = emoprune.resume(searching.run)
    list(again)
    assert (searching.run.path / "history.jsonl.torn").exists()
    assert_equal_runs(whole, again.run)


def test_a_history_with_garbage_in_the_middle_is_refused_by_line(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    history = run.path / "history.jsonl"
    lines = history.read_bytes().splitlines(keepends=True)
    history.write_bytes(b"".join([*lines[:4], b"\x00garbage\n", *lines[5:]]))
    with pytest.raises(RunCorrupt, match=r"history\.jsonl:5"):
        list(emoprune.resume(run))


def test_a_history_that_lost_lines_behind_its_checkpoint_is_refused(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    history = run.path / "history.jsonl"
    history.write_bytes(b"".join(history.read_bytes().splitlines(keepends=True)[:20]))
    with pytest.raises(RunCorrupt, match=r"counts 60 candidates, history\.jsonl holds 20"):
        list(emoprune.resume(run, overrides=["search.generations=9"]))


def test_two_searches_cannot_write_one_run(tmp_path: Path) -> None:
    searching = emoprune.search(config(), runs=tmp_path, name="r")
    turns = iter(searching)
    next(turns)
    with pytest.raises(RunLocked, match=r"is being written by process \d+ on"):
        list(emoprune.resume(searching.run))
    assert len(list(turns)) == 5


def test_readers_need_no_lock_while_the_search_runs(tmp_path: Path) -> None:
    searching = emoprune.search(config(), runs=tmp_path, name="r")
    for generation in searching:
        run = emoprune.open_run(tmp_path / "latest")
        assert len(run.history) == generation.evaluated
        assert len(run.generations) == generation.index + 1
        assert set(run.pareto.query("rank == 1")["candidate_id"]) == set(generation.front.ids)
        assert run.progress.state is State.RUNNING


def test_the_front_of_an_earlier_generation_can_be_seen(tmp_path: Path) -> None:
    searching = emoprune.search(config(), runs=tmp_path, name="r")
    fronts = {generation.index: set(generation.front.ids.tolist()) for generation in searching}
    for index, front in fronts.items():
        assert set(searching.run.pareto_at(index).query("rank == 1")["candidate_id"]) == front
    with pytest.raises(RunNotFound, match="has no generation 99; the last one is 5"):
        searching.run.pareto_at(99)


@pytest.mark.parametrize(
    "change", ["search.seed=9", "search.population=20", "problem.bits=14", "search.crossover=one-point"]
)
def test_a_resume_that_would_change_the_search_is_refused(tmp_path: Path, change: str) -> None:
    run = finished(tmp_path, "r")
    with pytest.raises(ConfigError, match=change.partition("=")[0].replace(".", r"\.")):
        emoprune.resume(run, overrides=[change])


class Constrained12(Knapsack12):
    """A knapsack that must lose at most 40 % and is to be as full as possible."""

    def __init__(self) -> None:
        super().__init__()
        self.objectives = (self.objectives[1], Objective("kept", Direction.MAXIMISE, worst=0.0))
        self.constraints = (Constraint("loss", bound=0.4),)

    def evaluate(self, genomes: IntArray, seeds: Any, split: Split) -> Any:
        loss, weight = super().evaluate(genomes, seeds, split).T
        return np.column_stack([weight, genomes.sum(axis=1), loss])


def test_constraints_hold_on_the_front_and_maximised_objectives_keep_their_sign(tmp_path: Path) -> None:
    settings = {"search": {"population": 20, "generations": 10}, "evaluation": {"backend": "serial"}}
    run = finished(tmp_path, "r", settings, problem=Constrained12())
    best = run.pareto.query("rank == 1")
    assert (best["con.loss"] <= 0.4).all()
    assert best["feasible"].all()
    assert best["obj.kept"].max() == 12
    assert run.generations["best.kept"].iloc[-1] == 12
    assert not run.history["obj.kept"].lt(0).any()


def test_a_problem_given_as_an_object_must_be_given_again(tmp_path: Path) -> None:
    settings = {"search": {"population": 10, "generations": 3}, "evaluation": {"backend": "serial"}}
    run = finished(tmp_path, "r", settings, problem=Knapsack12())
    with pytest.raises(ConfigError, match="given its problem as an object"):
        emoprune.resume(run)
    more = emoprune.resume(run, problem=Knapsack12(), overrides=["search.generations=5"])
    assert [generation.index for generation in more] == [3, 4]


def test_a_problem_that_changed_since_is_refused(tmp_path: Path) -> None:
    settings = {"search": {"population": 10, "generations": 3}, "evaluation": {"backend": "serial"}}
    run = finished(tmp_path, "r", settings, problem=Knapsack12())
    with pytest.raises(ConfigError, match=r"problem's .*genes changed"):
        list(emoprune.resume(run, problem=Knapsack12(bits=13)))


def test_a_run_from_elsewhere_does_not_get_its_code_imported_unasked(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    strangers(run.path)
    with pytest.raises(TrustError, match="would import 'problems_for_tests:Knapsack12' here"):
        emoprune.resume(run)
    with pytest.raises(TrustError, match="would import"):
        export(run, "0")
    assert list(emoprune.resume(run, trust_code=True)) == []


def test_code_named_by_an_operator_or_an_option_of_a_foreign_run_is_not_imported_either(tmp_path: Path) -> None:
    run = finished(tmp_path, "r", config(crossover="emoprune.operators.crossover:TwoPointCrossover"))
    altered(run.path / "config.resolved.json", problem={"name": "channels", "network": "evil:make"})
    with pytest.raises(TrustError, match=r"TwoPointCrossover.*evil:make"):
        emoprune.resume(run)


def test_a_run_that_stopped_before_it_began_can_be_looked_at_and_resumed(tmp_path: Path) -> None:
    searching = emoprune.search(config(), runs=tmp_path, name="r", problem=Unready())
    with pytest.raises(WorkersLost, match="not today"):
        list(searching)
    run = searching.run
    assert (run.pareto.empty, run.history.empty, run.generations.empty) == (True, True, True)
    assert run.progress.state is State.FAILED
    assert len(list(emoprune.resume(run, problem=Knapsack12(noise=0.02)))) == 6


class Unready(Knapsack12):
    def setup(self, device: str, threads: int) -> None:
        raise OSError("not today")


class Failing(Knapsack12):
    def evaluate(self, genomes: IntArray, seeds: Any, split: Split) -> Any:
        raise FileNotFoundError("weights.bin")


def test_a_first_generation_that_fails_as_a_whole_ends_the_search_with_the_reason(tmp_path: Path) -> None:
    settings = {"search": {"population": 10, "generations": 3}, "evaluation": {"backend": "serial"}}
    searching = emoprune.search(settings, runs=tmp_path, name="r", problem=Failing())
    with pytest.raises(EvaluationsFailed, match=r"all 10 evaluations of generation 0 failed.*weights\.bin"):
        list(searching)
    assert searching.run.progress.state is State.FAILED
    assert set(searching.run.history["status"]) == {"error"}


class HalfFailing(Knapsack12):
    def evaluate(self, genomes: IntArray, seeds: Any, split: Split) -> Any:
        rows = super().evaluate(genomes, seeds, split)
        return [[np.nan, 1.0] if genome[3] else row for genome, row in zip(genomes, rows, strict=True)]


def test_failures_are_records_and_never_on_the_front(tmp_path: Path) -> None:
    settings = {"search": {"population": 20, "generations": 5}, "evaluation": {"backend": "serial"}}
    run = finished(tmp_path, "r", settings, problem=HalfFailing())
    failed = run.history[run.history["status"] != "ok"]
    assert len(failed) > 5
    assert failed["reason"].str.contains("expected finite numbers").all()
    assert not set(failed["candidate"]) & set(run.pareto.query("rank == 1")["candidate_id"])
    assert run.progress.failed == len(failed)


class Penalising(Knapsack12):
    """Answers what many write for "bad" in the place of the second reference and of every third genome."""

    constraints = (Constraint("size", bound=1e-3),)

    def evaluate(self, genomes: IntArray, seeds: Any, split: Split) -> Any:
        rows = np.column_stack([super().evaluate(genomes, seeds, split), np.zeros(len(genomes))])
        bad = genomes.sum(axis=1) % 3 == 0
        rows[bad & (genomes[:, 0] == 0), 0] = sys.float_info.max
        rows[bad & (genomes[:, 0] > 0), 2] = 1e308
        return rows


def test_a_penalty_as_large_as_a_float_can_be_is_a_failure_and_nothing_else(tmp_path: Path) -> None:
    settings = {"search": {"population": 20, "generations": 5}, "evaluation": {"backend": "serial"}}
    run = finished(tmp_path, "r", settings, problem=Penalising())
    failed = run.history[run.history["status"] != "ok"]
    assert set(failed["status"]) == {"invalid"}
    assert {"uniform", "lightest"} & {run.references.get(number) for number in failed["candidate"]}
    assert np.isfinite(run.generations["hypervolume"]).all()


class Leaving(Knapsack12):
    def references(self) -> Any:
        sys.exit(5)


def test_a_problem_that_would_end_the_program_is_named_instead(tmp_path: Path) -> None:
    settings = {"search": {"population": 10, "generations": 2}, "evaluation": {"backend": "serial"}}
    with pytest.raises(ContractError, match=r"a plug-in called sys\.exit\(5\) in references"):
        list(emoprune.search(settings, runs=tmp_path, name="r", problem=Leaving()))


def test_an_exhausted_space_ends_the_search_and_says_so(tmp_path: Path) -> None:
    settings = config(population=50, generations=500)
    settings["problem"]["bits"] = 7
    searching = emoprune.search(settings, runs=tmp_path, name="r")
    generations = list(searching)
    assert searching.ended == "every genome has been evaluated: the space is exhausted"
    assert generations[-1].evaluated == 2**7
    assert [each.born for each in generations] == [50, 50, 28]


def test_a_budget_of_evaluations_ends_the_search(tmp_path: Path) -> None:
    searching = emoprune.search(config(evaluations=25), runs=tmp_path)
    assert [each.evaluated for each in searching] == [10, 20, 30]
    assert searching.ended == "the budget of 25 evaluations is spent"


def test_a_time_limit_ends_the_search_and_a_resume_can_raise_it(tmp_path: Path) -> None:
    settings = config(time_limit=1.0, generations=1000)
    settings["problem"]["pause"] = 0.02
    searching = emoprune.search(settings, runs=tmp_path)
    done = len(list(searching))
    assert searching.ended == "the time limit of 1 s is reached"
    assert done < 100
    more = emoprune.resume(searching.run, overrides=["search.time_limit=1000", f"search.generations={done + 1}"])
    assert len(list(more)) == 1


def test_a_former_runs_front_can_start_a_new_one(tmp_path: Path) -> None:
    long, short = config(generations=15), config(generations=1, seed=8, warm_start=["former"])
    for settings in (long, short):
        settings["problem"]["noise"] = 0.0  # or the same genome would score differently in the two runs
    former, run = finished(tmp_path, "former", long), finished(tmp_path, "new", short)
    wanted = former.history.set_index("candidate").loc[former.generations["front"].iloc[-1], "genome"].map(tuple)
    assert set(wanted) <= set(run.history["genome"].map(tuple))
    assert run.generations["hypervolume"].iloc[0] >= former.generations["hypervolume"].iloc[-1]


def test_a_former_run_of_another_space_cannot_start_a_new_one(tmp_path: Path) -> None:
    other = config()
    other["problem"]["bits"] = 9
    finished(tmp_path, "former", other)
    with pytest.raises(ConfigError, match="run former searched another space"):
        finished(tmp_path, "new", config(warm_start=["former"]))
    assert [each.name for each in tmp_path.iterdir()] == ["former"]


@pytest.mark.parametrize("turns", [0, 1])
def test_a_search_that_started_from_a_run_resumes_whatever_became_of_that_run(tmp_path: Path, turns: int) -> None:
    settings = config(generations=3, seed=8, warm_start=["former"])
    finished(tmp_path, "former", config(generations=4))
    whole = finished(tmp_path, "whole", settings)
    cut = emoprune.search(settings, runs=tmp_path, name="cut")
    progress = iter(cut)
    for _ in range(turns + 1):
        next(progress)
    progress.close()
    if turns == 0:  # as if it had been killed in the middle of generation 0
        for file in (cut.run.path / "checkpoints").iterdir():
            file.unlink()
    for _ in emoprune.resume(tmp_path / "former", overrides=["search.generations=9"]):
        pass
    if turns == 1:
        shutil.rmtree(tmp_path / "former")
    list(emoprune.resume(cut.run))
    assert_equal_runs(whole, cut.run)


@pytest.mark.parametrize(
    "name", ["../x", "/etc", "a\\..\\b", "%2e%2e", "nul\0", "x" * 5000, "CON", "latest", ".hidden", ""]
)
def test_a_name_that_could_leave_the_runs_folder_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrustError, match="refused"):
        list(emoprune.search(config(), runs=tmp_path / "runs", name=name))
    assert not (tmp_path / "runs").exists()


def test_a_name_that_is_taken_is_refused_with_how_to_resume(tmp_path: Path) -> None:
    finished(tmp_path, "taken")
    with pytest.raises(ConfigError, match="emoprune resume taken"):
        list(emoprune.search(config(), runs=tmp_path, name="taken"))


def test_a_link_that_leaves_the_runs_folder_is_refused(tmp_path: Path) -> None:
    finished(tmp_path / "elsewhere", "r")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "elsewhere" / "r")
    with pytest.raises(TrustError, match="is a link that leaves"):
        find_run("linked", tmp_path / "runs")


def test_latest_is_the_run_begun_last(tmp_path: Path) -> None:
    finished(tmp_path, "zzz")
    finished(tmp_path, "aaa")
    assert find_run("latest", tmp_path).name == "aaa"


def test_a_run_that_is_not_there_is_named_beside_those_that_are(tmp_path: Path) -> None:
    finished(tmp_path, "here")
    with pytest.raises(RunNotFound, match=r"no run 'there'.*here"):
        find_run("there", tmp_path)


def test_a_run_of_a_newer_format_is_refused_with_its_version(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    (run.path / "manifest.json").write_text(json.dumps({**run.manifest, "schema_version": 3, "emoprune": "9.0"}))
    with pytest.raises(RunCorrupt, match=r"2 or older, found 3, made by the newer emoprune 9\.0; update emoprune"):
        emoprune.open_run(run.path)


def test_a_search_can_be_iterated_once(tmp_path: Path) -> None:
    searching = emoprune.search(config(generations=1), runs=tmp_path)
    list(searching)
    with pytest.raises(RuntimeError, match=r"emoprune\.resume"):
        list(searching)


class OneObjective(Knapsack12):
    def __init__(self) -> None:
        super().__init__()
        self.objectives = (Objective("cost"),)

    def evaluate(self, genomes: IntArray, seeds: Any, split: Split) -> Any:
        rows = super().evaluate(genomes, seeds, split)
        return (100 * rows[:, 0] + rows[:, 1])[:, None]

    def references(self) -> list[Reference]:
        return [Reference("unpruned", self.space.full)]


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3", "sms-emoa", "random"])
def test_one_objective_is_searched_to_its_best_value(tmp_path: Path, algorithm: str) -> None:
    settings = {
        "search": {"population": 40, "generations": 200, "algorithm": algorithm},
        "evaluation": {"backend": "serial"},
    }
    run = finished(tmp_path, "r", settings, problem=OneObjective())
    assert len(run.history) == 2**12
    assert run.generations["best.cost"].iloc[-1] == run.history["obj.cost"].min()
    assert run.generations["hypervolume"].iloc[-1] > 0


def test_export_writes_a_candidate_by_number_name_or_knee(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    folder, verified = export(run, "unpruned")
    assert folder == run.path / "exports" / "0"
    assert verified
    knee = int(run.pareto.query("knee == 1")["candidate_id"].iloc[0])
    assert export(run, "knee")[0].name == str(knee)
    with pytest.raises(RunNotFound, match="did you mean 'unpruned'"):
        export(run, "unprund")
    assert not list((run.path / "exports").glob(".*"))


class Unexportable(Knapsack12):
    def export(self, genome: IntArray, folder: Path) -> dict[str, str]:
        (folder / "half").write_text("written")
        raise ValueError("the reloaded knapsack differs")


def test_a_failed_export_leaves_no_folder(tmp_path: Path) -> None:
    settings = {"search": {"population": 10, "generations": 1}, "evaluation": {"backend": "serial"}}
    run = finished(tmp_path, "r", settings, problem=Unexportable())
    with pytest.raises(ValueError, match="differs"):
        export(run, "0", problem=Unexportable())
    assert not any((run.path / "exports").iterdir())


def test_the_search_object_shows_progress_before_during_and_after(tmp_path: Path) -> None:
    searching: Search = emoprune.search(config(), runs=tmp_path, name="r")
    assert searching.progress.phase == "starting"
    with pytest.raises(RuntimeError, match="iterate over it first"):
        _ = searching.run
    for generation in searching:
        assert searching.progress.evaluated == generation.evaluated
    assert searching.progress.remaining is None
    assert searching.run.progress == searching.progress


class BadReference(Knapsack12):
    """The reference called `lightest` cannot be measured."""

    def evaluate(self, genomes: IntArray, seeds: Any, split: Split) -> Any:
        rows = super().evaluate(genomes, seeds, split)
        bad = next(each.genome for each in self.references() if each.name == "lightest")
        return [Failure("no") if (genome == bad).all() else row for genome, row in zip(genomes, rows, strict=True)]


def test_a_reference_that_fails_does_not_keep_the_front_from_being_ranked_on_select(tmp_path: Path) -> None:
    settings = {"search": {"population": 20, "generations": 12}, "evaluation": {"backend": "serial"}}
    run = finished(tmp_path, "r", settings, problem=BadReference(noise=0.05))
    frame = run.pareto.query("status == 'ok'")
    best = frame.query("rank == 1")[["select.loss", "select.weight"]].to_numpy()
    for rank, row in zip(frame["rank"], frame[["select.loss", "select.weight"]].to_numpy(), strict=True):
        dominated = ((best <= row).all(axis=1) & (best < row).any(axis=1)).any()
        assert dominated == (rank != 1)
    assert (frame["rank"] > 1).any()


class LooserOnSearch(Constrained12):
    """What holds on search is broken on the other splits by everything that leaves out more than one item."""

    def evaluate(self, genomes: IntArray, seeds: Any, split: Split) -> Any:
        rows = super().evaluate(genomes, seeds, split)
        if split is not Split.SEARCH:
            rows[:, 2] = np.where(genomes.sum(axis=1) < 11, 0.9, 0.1)
        return rows


def test_constraints_must_hold_on_select_too_and_are_shown_for_every_split(tmp_path: Path) -> None:
    settings = {"search": {"population": 20, "generations": 8}, "evaluation": {"backend": "serial"}}
    frame = finished(tmp_path, "r", settings, problem=LooserOnSearch()).pareto
    broken = frame[frame["select.con.loss"] > 0.4]
    assert len(broken)
    assert not broken["feasible"].any()
    assert broken["rank"].isna().all()
    best = frame[frame["rank"] == 1]
    assert (best[["con.loss", "select.con.loss", "test.con.loss"]] <= 0.4).all(axis=None)


def test_an_altered_history_is_noticed(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    history = run.path / "history.jsonl"
    lines = history.read_text().splitlines(keepends=True)
    changed = json.loads(lines[30])
    changed["values"]["loss"] = 0.0
    history.write_text("".join([*lines[:30], json.dumps(changed) + "\n", *lines[31:]]))
    with pytest.raises(RunCorrupt, match=r"history\.jsonl:31: checksum: .* was altered"):
        list(emoprune.resume(run, overrides=["search.generations=9"]))


def test_fewer_generations_than_are_done_are_refused(tmp_path: Path) -> None:
    run = finished(tmp_path, "r")
    with pytest.raises(ConfigError, match="expected at least 6, which run r has done already, found 3"):
        emoprune.resume(run, overrides=["search.generations=3"])


def test_what_can_be_known_to_fail_is_refused_before_a_run_folder_exists(tmp_path: Path) -> None:
    with pytest.raises(RunNotFound, match="no run 'nobody'"):
        list(emoprune.search(config(warm_start=["nobody"]), runs=tmp_path / "runs"))
    settings = {"search": {"algorithm": "age-moea2"}, "evaluation": {"backend": "serial"}}
    with pytest.raises(ConfigError, match="needs at least 2 objectives"):
        list(emoprune.search(settings, runs=tmp_path / "runs", problem=OneObjective()))
    assert not (tmp_path / "runs").exists()


class Unspeakable(Knapsack12):
    def describe(self, genome: IntArray) -> dict[str, float]:
        return {"share": float("nan")}


def test_a_description_that_cannot_be_written_is_refused_before_anything_is_evaluated(tmp_path: Path) -> None:
    settings = {"search": {"population": 10, "generations": 2}, "evaluation": {"backend": "serial"}}
    with pytest.raises(ContractError, match=r"describe of reference 'unpruned': expected labels with texts"):
        list(emoprune.search(settings, runs=tmp_path / "runs", problem=Unspeakable()))
    assert not (tmp_path / "runs").exists()


class Wordless(Knapsack12):
    """Has no words for genomes of which the last item stays, and takes the program with it for some of them."""

    def describe(self, genome: IntArray) -> Any:
        if genome[-1] and not genome.all():
            sys.exit(4) if genome[0] else np.ones(3)[9]
        return {"items": int(genome.sum())}


def test_what_cannot_be_said_of_a_candidate_is_marked_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"search": {"population": 12, "generations": 8}, "evaluation": {"backend": "serial"}}
    problem = Wordless()
    problem.references = lambda: (Reference("unpruned", problem.space.full),)  # type: ignore[method-assign]
    run = finished(tmp_path, "r", settings, problem=problem)
    words = run.descriptions
    genomes = run.history.set_index("candidate")["genome"]
    wordless = {number for number in words if genomes[number][-1] and not all(genomes[number])}
    assert wordless
    for number, said in words.items():
        assert (list(said) == ["cannot be described"]) == (number in wordless)
    assert any("SystemExit: 4" in str(said) or "IndexError" in str(said) for said in words.values())
    assert caplog.text.count("others are marked in the descriptions alone") == 1


class Scrawling(Knapsack12):
    """Shows a text only for genomes of which the last item goes; what it answers for others is none, or raises."""

    def marked(self, genome: IntArray) -> Any:
        if genome[-1] and not genome.all():
            return ["no passage"] if genome[0] else sys.exit(4)
        return [Passage("item", kept=bool(bit)) for bit in genome]


def test_a_text_that_cannot_be_shown_of_a_candidate_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"search": {"population": 12, "generations": 8}, "evaluation": {"backend": "serial"}}
    problem = Scrawling()
    problem.references = lambda: (Reference("unpruned", problem.space.full),)  # type: ignore[method-assign]
    run = finished(tmp_path, "r", settings, problem=problem)
    genomes = run.history.set_index("candidate")["genome"]
    unseen = {number for number in run.descriptions if genomes[number][-1] and not all(genomes[number])}
    assert unseen
    assert {number for number, text in run.marked.items() if not text} == unseen
    assert run.progress.state is State.FINISHED
    assert caplog.text.count("others are marked in the descriptions alone") == 1


class Referring(Knapsack12):
    """A knapsack whose references are whatever they are given as."""

    def __init__(self, *references: Reference) -> None:
        super().__init__()
        self.given = references

    def references(self) -> Sequence[Reference]:
        return self.given


@pytest.mark.parametrize(
    ("references", "complaint"),
    [
        ((), "Referring has no references; the unpruned genome must be the first"),
        ((Reference("unpruned", np.full(12, 7)),), r"references: 1 of 1 genomes are illegal"),
        ((Reference("unpruned", np.ones(5, dtype=np.int64)),), r"genomes: expected shape \(n, 12\)"),
        ((Reference("same", np.ones(12)), Reference("same", np.zeros(12))), "two references share a name"),
    ],
)
def test_references_that_cannot_be_are_refused_before_a_run_folder_exists(
    tmp_path: Path, references: Sequence[Reference], complaint: str
) -> None:
    settings = {"search": {"population": 10, "generations": 2}, "evaluation": {"backend": "serial"}}
    with pytest.raises(ContractError, match=complaint):
        list(emoprune.search(settings, runs=tmp_path / "runs", problem=Referring(*references)))
    assert not (tmp_path / "runs").exists()


def test_what_is_no_problem_is_refused_before_a_run_folder_exists(tmp_path: Path) -> None:
    settings = {"problem": "json:JSONDecoder", "evaluation": {"backend": "serial"}}
    with pytest.raises(ContractError, match="JSONDecoder is no problem: it lacks space, objectives, setup"):
        list(emoprune.search(settings, runs=tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


class Fingerprint12(Knapsack12):
    def __init__(self, print_: str) -> None:
        super().__init__()
        self.print = print_

    def fingerprint(self) -> str:
        return self.print


def test_a_problem_whose_fingerprint_changed_is_neither_resumed_nor_exported(tmp_path: Path) -> None:
    settings = {"search": {"population": 10, "generations": 2}, "evaluation": {"backend": "serial"}}
    run = finished(tmp_path, "r", settings, problem=Fingerprint12("a"))
    with pytest.raises(ConfigError, match="fingerprint changed"):
        list(emoprune.resume(run, problem=Fingerprint12("b"), overrides=["search.generations=9"]))
    assert run.config["search"]["generations"] == 2
    with pytest.raises(ConfigError, match="fingerprint changed"):
        export(run, "0", problem=Fingerprint12("b"))
    assert export(run, "0", problem=Fingerprint12("a"))[0].exists()
