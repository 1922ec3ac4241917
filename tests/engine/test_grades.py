"""Scores that are means over blocks: who is given up, what that saves, and what is known of the rest."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutations_for_tests import unend
from numpy.typing import NDArray
from problems_for_tests import GradedKnapsack12, Knapsack12
from rich.console import Console
from searching_for_tests import searched_run

import emoprune
from emoprune.algorithms.pymoo_survival import beyond_noise
from emoprune.algorithms.surrogate import levelled
from emoprune.commands.reopen import chosen as asked_for
from emoprune.contracts import Blocks, Constraint, Failure, Link, Objective, Rows, blocks_of, constraints_of
from emoprune.contracts.algorithm import Measured, Noise
from emoprune.doctor.repairing import repair
from emoprune.errors import ContractError, RunCorrupt, RunNotFound
from emoprune.evolution import grading
from emoprune.evolution.grading import Grading
from emoprune.front import depths
from emoprune.records import Candidate, Evaluation, Ran, Split, Status
from emoprune.report.front_table import front_table
from emoprune.report.page import write_page
from emoprune.run import Run
from emoprune.run.choice import best_row
from emoprune.space import IntArray
from emoprune.storage import sealed_line
from emoprune.testing import ProblemConformance

SIZES = np.array([4.0, 4.0, 4.0, 3.0])
FOUR = Blocks(("loss",), (2, 4), dict.fromkeys(Split, SIZES))
OBJECTIVES = (Objective("loss"), Objective("weight"))


class TestGradedKnapsack(ProblemConformance):
    def problem(self) -> GradedKnapsack12:
        return GradedKnapsack12()


def searched(runs: Path, name: str, problem: Knapsack12, **search: Any) -> Run:
    settings = {
        "search": {"population": 16, "generations": 5, "seed": 4, **search},
        "evaluation": {"backend": "serial"},
    }
    return searched_run(settings, problem=problem, runs=runs, name=name)


def seen(number: int, losses: Sequence[float], weight: float, **values: float) -> Evaluation:
    candidate = Candidate(number, np.array([number]), 0, "initial")
    measured = {"loss": FOUR.mean(Split.SEARCH, losses), "weight": weight, **values}
    return Evaluation(candidate, Split.SEARCH, Status.OK, measured, 1, Ran("w", 1.0), blocks={"loss": tuple(losses)})


def given_up(
    *measured: Evaluation, standing: Sequence[Evaluation] = (), constraints: Sequence[Constraint] = ()
) -> set[int]:
    going = Grading(FOUR, OBJECTIVES, constraints, 0.95).going_on(measured, standing)
    return {each.candidate.id for each in measured} - {each.candidate.id for each in going}


def test_who_loses_more_on_every_block_and_costs_no_less_is_given_up() -> None:
    assert given_up(seen(0, [0.5, 0.6], 3.0), seen(1, [0.2, 0.3], 3.0)) == {0}


def test_who_costs_less_goes_on_however_much_it_loses() -> None:
    assert given_up(seen(0, [0.9, 0.9], 2.0), seen(1, [0.1, 0.1], 3.0)) == set()


def test_a_difference_that_varies_as_much_as_it_is_large_is_chance() -> None:
    assert given_up(seen(0, [0.5, 0.3], 3.0), seen(1, [0.2, 0.3], 3.0)) == set()


def test_few_blocks_that_agree_by_chance_show_nothing_where_others_vary() -> None:
    even = seen(0, [0.31, 0.31, 0.31, 0.31], 3.0)
    wild = [seen(2, [0.1, 0.9, 0.2, 0.8], 3.0), seen(3, [0.9, 0.1, 0.8, 0.2], 3.0)]
    best = seen(1, [0.3, 0.3, 0.3, 0.3], 3.0)
    assert given_up(even, best) == {0}
    assert given_up(even, best, *wild) == set()


def test_equals_all_go_on() -> None:
    assert given_up(seen(0, [0.3, 0.3], 3.0), seen(1, [0.3, 0.3], 3.0)) == set()


def test_the_front_is_held_against_newcomers_on_the_blocks_that_both_have_seen() -> None:
    whole = seen(0, [0.2, 0.3, 0.9, 0.9], 3.0)
    assert given_up(seen(1, [0.5, 0.6], 3.0), standing=[whole]) == {1}


def test_who_breaks_a_bound_gives_nobody_up() -> None:
    bound = Constraint("size", 1.0)
    rival = seen(1, [0.2, 0.3], 3.0, size=2.0)
    assert given_up(seen(0, [0.5, 0.6], 3.0, size=1.0), rival, constraints=[bound]) == set()


def test_more_is_better_where_an_objective_says_so() -> None:
    grading = Grading(FOUR, (Objective("loss", "maximise"), Objective("weight")), (), 0.95)  # type: ignore[arg-type]  # a word stands for the direction
    measured = [seen(0, [0.5, 0.6], 3.0), seen(1, [0.2, 0.3], 3.0)]
    assert [each.candidate.id for each in grading.going_on(measured, [])] == [0]


def test_what_one_comparison_gives_up_wrongly_is_as_rare_as_the_confidence_says() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(1000):  # both are equally good; half of all chances are that the first looks worse
        first, second = rng.normal(0.5, 0.1, (2, 4))
        wrong += 0 in given_up(seen(0, first.tolist(), 3.0), seen(1, second.tolist(), 3.0))
    assert wrong / 1000 <= 0.07


def test_the_standard_error_is_that_of_a_mean_of_blocks_of_one_size() -> None:
    even = Blocks(("loss",), (4,), dict.fromkeys(Split, np.full(4, 5.0)))
    values = np.array([0.1, 0.4, 0.2, 0.5])
    assert even.error(Split.SEARCH, values) == pytest.approx(values.std(ddof=1) / 2)


def test_standard_errors_cover_what_they_should() -> None:
    rng = np.random.default_rng(1)
    sizes = np.array([4.0] * 7 + [2.0])
    blocks = Blocks(("loss",), (8,), dict.fromkeys(Split, sizes))
    drawn = 0.3 + rng.normal(0.0, 1.0, (2000, 8)) / np.sqrt(sizes)
    apart = np.abs(np.average(drawn, axis=1, weights=sizes) - 0.3) / blocks.error(Split.SEARCH, drawn)
    assert 0.9 <= (apart <= 2.36).mean() <= 0.98, "95 % of Student's t with 7 degrees of freedom"


@pytest.mark.parametrize(("link", "score"), [("exp-mean", np.exp), ("root-mean", np.sqrt)])
def test_the_standard_error_of_a_score_that_follows_from_a_mean_is_that_of_its_slope(link: Link, score: Any) -> None:
    rng = np.random.default_rng(2)
    linked = Blocks(("loss",), (8,), dict.fromkeys(Split, np.ones(8)), {"loss": link})
    drawn = 2.0 + rng.normal(0.0, 0.1, (2000, 8))
    scores = np.array([linked.value("loss", Split.SEARCH, each) for each in drawn])
    assert scores == pytest.approx(score(drawn.mean(axis=1)))
    errors = [linked.value_error("loss", Split.SEARCH, each) for each in drawn]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(scores.std(), rel=0.05)
    assert Blocks.from_json(linked.as_json()).links == {"loss": link}


def test_a_link_that_there_is_not_is_refused() -> None:
    with pytest.raises(ContractError, match="links: expected mean, exp-mean, root-mean for some of loss, found"):
        Blocks(("loss",), (8,), dict.fromkeys(Split, np.ones(8)), {"weight": "exp-mean"})


def test_as_many_hits_on_other_blocks_give_the_same_score() -> None:
    ten = Blocks(("loss",), (10,), dict.fromkeys(Split, np.full(10, 3.0)))
    rng = np.random.default_rng(3)
    hits = rng.multinomial(13, np.full(10, 0.1), 200)
    assert len({ten.value("loss", Split.SEARCH, each / 3) for each in hits}) == 1


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return searched(tmp_path_factory.mktemp("runs"), "graded", GradedKnapsack12())


def test_front_and_references_are_measured_in_full_and_others_less(graded: Run) -> None:
    measured = {each.candidate.id: each.measured for each in graded.all_evaluations()}
    counts = Counter(map(str, measured.values()))
    frame = graded.pareto
    shown = frame.loc[frame["rank"].eq(1) | frame["name"].ne(""), "candidate_id"]
    assert {measured[number] for number in shown} == {8}
    assert {2, 8} <= set(measured.values()) <= {2, 4, 8}
    assert graded.progress.measured == counts


def test_who_is_given_up_is_never_on_the_front(graded: Run) -> None:
    history = graded.history
    partly = history[history["con.blocks"] < 8]
    assert len(partly)
    assert not set(partly["candidate"]) & set(graded.pareto.loc[graded.pareto["rank"] == 1, "candidate_id"])


def test_values_are_the_means_of_what_was_measured(graded: Run) -> None:
    problem = GradedKnapsack12()
    problem.setup("cpu", 1)
    for each in graded.all_evaluations():
        genomes, seeds = each.candidate.genome[None], np.array([each.seed], dtype=np.uint64)
        rows = np.asarray(problem.evaluate_blocks(genomes, seeds, Split.SEARCH, range(each.measured)))[0]
        assert list(each.blocks["loss"]) == rows[:, 0].tolist()
        sizes = problem.block_sizes(Split.SEARCH)[: each.measured]
        assert each.values["loss"] == pytest.approx(np.average(rows[:, 0], weights=sizes), abs=1e-12)
        assert each.values["weight"] == rows[0, 1]


def test_every_part_has_standard_errors_in_the_table(graded: Run) -> None:
    frame = graded.pareto
    again = graded.remeasured()
    front = frame[frame["rank"] == 1]
    for _, row in front.iterrows():
        losses = np.array(again[row["candidate_id"], Split.TEST].blocks["loss"])
        assert row["test.loss.se"] == pytest.approx(losses.std(ddof=1) / 2)
    assert front[["obj.loss.se", "select.loss.se", "test.loss.se"]].notna().all(axis=None)
    assert not [name for name in frame if name.endswith("weight.se")]


def test_a_problem_without_noise_goes_the_way_of_one_without_blocks(tmp_path: Path) -> None:
    class Plain(Knapsack12):
        evaluate = GradedKnapsack12.evaluate
        evaluate_blocks = GradedKnapsack12.evaluate_blocks
        block_sizes = GradedKnapsack12.block_sizes
        _spread, _block_pause, _digits = 0.5, 0.0, 9

    exact = searched(tmp_path, "exact", GradedKnapsack12(noisy=()))
    plain = searched(tmp_path, "plain", Plain())
    timed = ["worker", "seconds"]
    assert exact.history.drop(columns=timed).equals(plain.history.drop(columns=timed))
    assert exact.blocks is None


def test_without_grades_everything_is_measured_in_full_and_has_standard_errors(tmp_path: Path) -> None:
    run = searched(tmp_path, "whole", GradedKnapsack12(), grades="none")
    assert {each.measured for each in run.all_evaluations()} == {8}
    assert run.pareto["obj.loss.se"].notna().all()


def cut(run: Run, runs: Path, lines: int) -> Run:
    """Return a copy whose history ends after so many lines, as a kill leaves it before the next checkpoint."""
    copy = Run(Path(shutil.copytree(run.path, runs / f"cut{lines}")))
    unend(copy.path)
    whole = (copy.path / "history.jsonl").read_bytes().splitlines(keepends=True)
    (copy.path / "history.jsonl").write_bytes(b"".join(whole[:lines]))
    for checkpoint in (copy.path / "checkpoints").glob("*"):
        checkpoint.unlink()
    (copy.path / "generations.jsonl").write_bytes(b"")
    return copy


@pytest.mark.parametrize("share", [0.4, 0.63, 0.9])
@pytest.mark.parametrize("digits", [9, 1])
def test_nothing_that_was_measured_is_paid_twice(tmp_path: Path, digits: int, share: float) -> None:
    whole = searched(tmp_path, "whole", GradedKnapsack12(digits=digits))
    lines = (whole.path / "history.jsonl").read_bytes().splitlines()
    copy = cut(whole, tmp_path, int(len(lines) * share))
    for _ in emoprune.resume(copy.path, problem=GradedKnapsack12(digits=digits)):
        pass
    again = Run(copy.path)
    assert len((again.path / "history.jsonl").read_bytes().splitlines()) == len(lines)
    assert again.history.drop(columns=["seconds"]).equals(whole.history.drop(columns=["seconds"]))


@pytest.mark.parametrize("algorithm", ["nsga2", "surrogate"])
def test_a_search_goes_on_from_a_checkpoint_as_if_it_had_not_been_stopped(tmp_path: Path, algorithm: str) -> None:
    whole = searched(tmp_path, "whole", GradedKnapsack12(digits=1), algorithm=algorithm)
    first = searched(tmp_path, "parts", GradedKnapsack12(digits=1), algorithm=algorithm, generations=3)
    for _ in emoprune.resume(first.path, problem=GradedKnapsack12(digits=1), overrides=["search.generations=5"]):
        pass
    again = Run(first.path).history.drop(columns=["seconds", "worker"])
    assert again.equals(whole.history.drop(columns=["seconds", "worker"]))


def noise(losses: NDArray[np.float64], costs: Sequence[float]) -> tuple[NDArray[np.float64], Noise]:
    """Return objectives and noise of candidates with losses of shape (n, blocks) and exact costs."""
    blocks = np.stack([losses, np.repeat(np.array(costs)[:, None], 4, axis=1)], axis=1)
    blocks[:, 1] = np.where(np.isnan(losses), np.nan, blocks[:, 1])
    seen = Noise(blocks, SIZES, np.zeros(len(losses)))
    means = [FOUR.mean(Split.SEARCH, each[~np.isnan(each)]) for each in losses]
    return np.column_stack([means, costs]), seen


def test_candidates_of_one_cost_within_noise_are_of_one_rank() -> None:
    near, far = [0.5, 0.3, 0.5, 0.3], [0.9, 0.8, 0.9, 0.8]
    objectives, seen = noise(np.array([[0.3, 0.4, 0.3, 0.5], near, far]), [3.0, 3.0, 3.0])
    assert [front.tolist() for front in beyond_noise(objectives, seen)] == [[0, 1], [2]]


def test_of_candidates_within_noise_the_one_that_costs_less_ranks_first_if_it_loses_no_more() -> None:
    objectives, seen = noise(np.array([[0.3, 0.4, 0.3, 0.5], [0.5, 0.3, 0.5, 0.3]]), [2.0, 3.0])
    assert [front.tolist() for front in beyond_noise(objectives, seen)] == [[0], [1]]


@given(st.integers(0, 1000))
def test_nobody_ranks_behind_where_means_alone_put_him(seed: int) -> None:
    rng = np.random.default_rng(seed)
    objectives, seen = noise(rng.random((20, 4)), rng.integers(4, size=20).astype(np.float64).tolist())
    fronts = beyond_noise(objectives, seen)
    assert sorted(np.concatenate(fronts).tolist()) == list(range(20))
    depth = {row: place for place, front in enumerate(fronts) for row in front.tolist()}
    assert all(depth[row] <= by_means for row, by_means in enumerate(depths(objectives)))


def test_a_model_is_told_what_those_that_were_given_up_would_score_on_all_blocks() -> None:
    missing = np.nan
    losses = np.array([[0.1, 0.1, 0.5, 0.5], [0.3, 0.3, 0.7, 0.7], [0.2, 0.2, missing, missing]])
    objectives, seen = noise(losses, [1.0, 2.0, 3.0])
    told = Measured(np.arange(3), np.arange(3)[:, None], objectives, np.array([0.0, 0.0, 0.5]), seen)
    everything = np.average([0.2, 0.2, 0.6, 0.6], weights=SIZES)
    assert levelled(told)[2] == pytest.approx([everything, 3.0])
    assert levelled(told)[:2] == pytest.approx(objectives[:2])


@pytest.mark.parametrize("seed", range(6))
def test_the_order_in_which_rows_arrive_decides_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hits = rng.binomial(4, 0.5, (30, 2)) / 4  # so few that many candidates have equal means on different blocks
    rows = [seen(number, losses.tolist(), float(rng.integers(3))) for number, losses in enumerate(hits)]
    found = given_up(*rows)
    for _ in range(5):
        assert given_up(*[rows[place] for place in rng.permutation(30)]) == found


def test_one_outlier_does_not_keep_all_others_going() -> None:
    best, wild = seen(0, [0.1, 0.1, 0.1, 0.1], 3.0), seen(9, [1e6, 0.0, 1e6, 0.0], 3.0)
    behind = [seen(number, [0.5, 0.6, 0.5, 0.6], 3.0) for number in range(1, 8)]
    assert given_up(best, wild, *behind) == set(range(1, 8))


def test_what_fits_into_memory_at_once_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rows = [seen(number, rng.random(4).tolist(), 3.0) for number in range(20)]
    found = given_up(*rows)
    monkeypatch.setattr(grading, "AT_ONCE", 30)
    assert given_up(*rows) == found


def test_a_run_that_was_begun_when_its_problem_was_measured_in_full_goes_on_so(tmp_path: Path) -> None:
    whole = searched(tmp_path, "whole", GradedKnapsack12(noisy=()))
    copy = cut(whole, tmp_path, 40)
    for _ in emoprune.resume(copy.path, problem=GradedKnapsack12()):
        pass
    again = Run(copy.path)
    timed = ["seconds", "worker"]
    assert again.history.drop(columns=timed).equals(whole.history.drop(columns=timed))
    assert again.blocks is None
    assert again.pareto.drop(columns="wall_s").equals(whole.pareto.drop(columns="wall_s"))


def test_several_grades_share_the_confidence() -> None:
    losses, best = [0.30, 0.33, 0.3, 0.3], [0.2, 0.2, 0.2, 0.2]  # of two blocks 8.6 standard errors apart
    two, three = FOUR, Blocks(("loss",), (2, 3, 4), dict.fromkeys(Split, SIZES))
    for blocks, going in ((two, {1}), (three, {0, 1})):
        measured = [replace(seen(0, losses[:2], 3.0)), replace(seen(1, best[:2], 3.0))]
        found = Grading(blocks, OBJECTIVES, (), 0.95).going_on(measured, [])
        assert {each.candidate.id for each in found} == going


def test_the_best_and_how_many_were_given_up_are_shown(graded: Run, tmp_path: Path) -> None:
    best = int(graded.pareto.loc[graded.pareto["best"] == 1, "candidate_id"].iloc[0])
    console = Console(width=200, file=StringIO())
    console.print(front_table(graded, limit=4))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert re.search(rf"^ *{best} .*best", shown, re.MULTILINE), shown
    page = write_page(graded, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "candidates by blocks" in page
    assert "of the work saved" in page


class Leaning(GradedKnapsack12):
    """What is measured of a block depends on whether those before it were measured."""

    first = False

    def evaluate_blocks(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split, blocks: range) -> Rows:
        self.first = self.first or blocks.start == 0
        rows = np.asarray(super().evaluate_blocks(genomes, seeds, split, blocks))
        return rows if self.first else rows + np.array([0.1, 0.0])


def test_a_block_that_depends_on_those_before_it_breaks_a_promise() -> None:
    class Case(ProblemConformance):
        def problem(self) -> Leaning:
            return Leaning()

    case = Case()
    with pytest.raises(ContractError, match="the same of each block in whatever pieces"):
        case.test_blocks_are_measured_alike_in_whatever_pieces()
    case.teardown_class()


class Fails(GradedKnapsack12):
    """Light genomes cannot be measured on later blocks."""

    def evaluate_blocks(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split, blocks: range) -> Rows:
        rows = super().evaluate_blocks(genomes, seeds, split, blocks)
        light = genomes.sum(axis=1) < 4
        return [
            Failure("too light") if out and blocks.start >= 2 else row for row, out in zip(rows, light, strict=True)
        ]


def test_who_fails_on_a_later_block_has_failed_and_keeps_what_was_measured(tmp_path: Path) -> None:
    run = searched(tmp_path, "failing", Fails())
    failed = [each for each in run.all_evaluations() if not each.ok]
    assert failed
    assert {each.reason for each in failed} == {"too light"}
    assert {each.measured for each in failed} <= {2, 4}


def altered(run: Run, runs: Path, change: Any) -> Run:
    """Return a copy in which the first line that is measured further is changed."""
    copy = Run(Path(shutil.copytree(run.path, runs / "altered")))
    lines = [json.loads(line) for line in (copy.path / "history.jsonl").read_text().splitlines()]
    place = next(place for place, line in enumerate(lines) if line.get("begun"))
    change(lines, place)
    for line in lines:
        line.pop("checksum", None)
    (copy.path / "history.jsonl").write_bytes(b"".join(sealed_line(line) + b"\n" for line in lines))
    return copy


def test_a_line_whose_blocks_follow_on_nothing_is_refused(graded: Run, tmp_path: Path) -> None:
    copy = altered(graded, tmp_path, lambda lines, place: lines[place].update(begun=3))
    with pytest.raises(RunCorrupt, match=r"history\.jsonl:\d+: begun: expected block 2, .* found 3"):
        copy.evaluations()


def test_a_line_with_more_blocks_than_there_are_is_refused(graded: Run, tmp_path: Path) -> None:
    copy = altered(graded, tmp_path, lambda lines, place: lines[place]["blocks"].update(loss=[0.5] * 9))
    with pytest.raises(RunCorrupt, match=r"blocks: expected as many of each, at most 8 in all"):
        copy.evaluations()


def test_a_line_without_its_blocks_is_refused(graded: Run, tmp_path: Path) -> None:
    copy = altered(graded, tmp_path, lambda lines, place: lines[place].pop("blocks"))
    with pytest.raises(RunCorrupt, match="blocks: expected those of loss"):
        copy.evaluations()


@pytest.mark.parametrize("grades", [(), (1, 8), (4, 2, 8), (2, 4), (2, 9)])
def test_grades_that_cannot_be_are_refused_before_anything_is_measured(tmp_path: Path, grades: tuple[int, ...]) -> None:
    problem = GradedKnapsack12()
    problem.grades = grades  # type: ignore[assignment]  # the class has three
    with pytest.raises(ContractError, match="grades: expected rising numbers of blocks from 2 or more to 8"):
        searched(tmp_path, "refused", problem)


def test_one_block_of_a_part_is_refused() -> None:
    with pytest.raises(
        ContractError, match=r"block_sizes of search: expected 2 or more numbers above zero, found \[4.0\]"
    ):
        Blocks(("loss",), (2,), {Split.SEARCH: np.array([4.0])})


def test_a_graded_problem_has_the_bound_that_all_blocks_were_measured() -> None:
    graded, exact = GradedKnapsack12(), GradedKnapsack12(noisy=())
    assert [each.name for each in constraints_of(graded, blocks_of(graded))] == ["blocks"]
    assert constraints_of(exact, blocks_of(exact)) == ()


def chosen(
    *losses: Sequence[float], unpruned: int | None = 0, costs: Sequence[float] = (4.0, 3.0, 2.0, 1.0)
) -> int | None:
    select = [replace(seen(number, each, costs[number]), split=Split.SELECT) for number, each in enumerate(losses)]
    return best_row(select, range(len(losses)), unpruned, OBJECTIVES, FOUR)


def test_the_cheapest_that_is_not_shown_to_be_worse_is_best() -> None:
    assert chosen([0.2, 0.3, 0.2, 0.3], [0.2, 0.2, 0.3, 0.3], [0.3, 0.2, 0.2, 0.3], [0.6, 0.7, 0.6, 0.7]) == 2


def test_what_the_user_came_with_is_best_where_all_else_is_worse() -> None:
    assert chosen([0.2, 0.3, 0.2, 0.3], [0.5, 0.6, 0.5, 0.6], [0.6, 0.6, 0.6, 0.6]) == 0


def test_the_unpruned_is_held_against_the_others_though_it_is_not_the_best_by_chance() -> None:
    lucky, near = [0.1, 0.9, 0.1, 0.9], [0.55, 0.65, 0.55, 0.66]
    assert chosen([0.5, 0.6, 0.5, 0.6], near, lucky, costs=(4.0, 1.0, 3.0)) == 2, (
        "one that is a little worse is no match"
    )


def test_what_costs_more_than_the_unpruned_has_to_be_shown_to_be_better() -> None:
    dear = [0.2, 0.8, 0.2, 0.72]
    assert chosen([0.5, 0.5, 0.5, 0.5], dear, costs=(1.0, 2.0)) == 0
    assert chosen([0.5, 0.5, 0.5, 0.5], [0.4, 0.41, 0.4, 0.41], costs=(1.0, 2.0)) == 1


def test_of_equal_costs_the_unpruned_stays_unless_something_is_shown_to_be_better() -> None:
    assert chosen([0.5, 0.4, 0.5, 0.4], [0.3, 0.5, 0.5, 0.4], costs=(1.0, 1.0)) == 0


def test_names_that_are_no_values_of_the_problem_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="noisy: expected some of loss, weight, found"):
        searched(tmp_path, "typo", GradedKnapsack12(noisy=("los",)))


def test_without_an_unpruned_that_keeps_the_bounds_the_front_is_chosen_from_alone() -> None:
    assert chosen([0.4, 0.5, 0.4, 0.5], [0.9, 0.9, 0.9, 0.9], unpruned=None) == 0


def test_the_best_is_marked_and_can_be_asked_for(graded: Run) -> None:
    frame = graded.pareto
    assert frame["best"].sum() == 1
    named = int(frame.loc[frame["best"] == 1, "candidate_id"].iloc[0])
    assert asked_for(graded, "best").candidate.id == named


def test_a_run_without_standard_errors_has_no_best(tmp_path: Path) -> None:
    run = searched(tmp_path, "exact", GradedKnapsack12(noisy=()))
    with pytest.raises(RunNotFound, match="has no best: its scores have no standard errors"):
        asked_for(run, "best")


def test_a_copy_without_a_broken_line_is_without_what_follows_on_it_and_is_measured_again(
    graded: Run, tmp_path: Path
) -> None:
    copy = Run(Path(shutil.copytree(graded.path, tmp_path / "broken")))
    lines = (copy.path / "history.jsonl").read_bytes().splitlines(keepends=True)
    further = [json.loads(line) for line in lines]
    number = next(line["candidate"] for line in further if line.get("begun") == 4)
    first = next(place for place, line in enumerate(further) if line["candidate"] == number and line["begun"] == 0)
    lines[first] = lines[first].replace(b'"reason":null', b'"reason":nul')
    (copy.path / "history.jsonl").write_bytes(b"".join(lines))
    repaired = repair(copy.path)
    assert "3 lines of history.jsonl" in repaired.left_out
    for _ in emoprune.resume(repaired.folder, problem=GradedKnapsack12()):
        pass
    timed = ["seconds"]
    assert Run(repaired.folder).history.drop(columns=timed).equals(graded.history.drop(columns=timed))
