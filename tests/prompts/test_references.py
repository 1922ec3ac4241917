"""What a user would have picked without a search, and when a prompt is given up: decided once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from prompts_for_tests import parts, prompt_tokens, told, written

from emoprune import plugins
from emoprune.contracts import Direction, Found, Objective, Reference
from emoprune.errors import ContractError, RunCorrupt
from emoprune.problems.prompts.baselines import Baselines, Halving
from emoprune.problems.prompts.objectives.accuracy import Accuracy
from emoprune.problems.prompts.options import TokenOptions
from emoprune.problems.prompts.references.accepting import accepting
from emoprune.problems.prompts.references.contract import ReferenceInputs
from emoprune.problems.prompts.references.made import MadeReferences, made_references
from emoprune.problems.prompts.references.ranked import kept_by
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.stopping import best_mean, blocks
from emoprune.problems.prompts.template import Template
from emoprune.records import Split
from emoprune.space import Gene, Group, IntArray, Space

OBJECTIVES = (Objective("accuracy", Direction.MAXIMISE), Objective("tokens"))
FloatArray = NDArray[np.float64]


def space(bits: int) -> Space:
    return Space.bits(bits, groups=[Group("text", tuple(range(bits)), floor=1)])


class Worth:
    """What a genome is worth, and how often that was asked."""

    def __init__(self, *harm: float) -> None:
        self.harm, self.asked = np.array(harm), 0

    def __call__(self, genome: IntArray, needed: float) -> float | None:
        self.asked += 1
        found = 1.0 - float(self.harm[genome == 0].sum())
        return None if found < needed else found


def test_threshold_accepting_leaves_out_what_hardly_matters_from_left_to_right() -> None:
    worth = Worth(0.03, 0.2, 0.03, 0.0)
    found = accepting(worth, space(4))
    # The first goes for 0.97 of the best; the third would make 0.94 of it; the last costs nothing.
    assert found.genome.tolist() == [0, 1, 1, 0]
    assert found.worth == 1.0


def test_the_best_so_far_only_rises_and_decides_what_is_good_enough() -> None:
    worth = Worth(-0.5, 0.04, 0.5)
    found = accepting(worth, space(3))
    assert found.genome.tolist() == [0, 0, 1], "after the first, 1.46 of 1.5 is good enough"
    assert found.worth == 1.5


def test_hill_climbing_leaves_out_only_what_makes_it_better() -> None:
    found = accepting(Worth(0.0, -0.2, 0.01, -0.1), space(4), strict=True)
    assert found.genome.tolist() == [1, 0, 1, 0]


def test_passes_go_on_until_one_changes_nothing() -> None:
    def together(genome: IntArray, needed: float) -> float | None:
        """The first may go once the second is gone, and the last may never."""
        return 0.5 if (genome[0] == 0 and genome[1] == 1) or genome[2] == 0 else 1.0

    assert accepting(together, space(3)).genome.tolist() == [0, 0, 1]


def test_runs_are_left_out_whole_then_in_halves_down_to_single_tokens() -> None:
    tried: list[list[int]] = []

    def worth(genome: IntArray, needed: float) -> float | None:
        """Only the sixth of eight matters."""
        tried.append(np.flatnonzero(genome == 0).tolist())
        return 1.0 if genome[5] else 0.5

    found = accepting(worth, space(8), runs=2)
    assert found.genome.tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    # The other half would leave nothing, and is not tried; of its quarters only the second can go.
    assert tried == [[], [0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 6, 7], [0, 1, 2, 3, 4, 6, 7]]


@given(st.lists(st.floats(-0.2, 0.5), min_size=1, max_size=24), st.integers(1, 30))
def test_runs_of_any_length_end_where_no_single_token_can_go(harm: list[float], runs: int) -> None:
    worth = Worth(*harm)
    found = accepting(worth, space(len(harm)), runs=runs)
    for gene in np.flatnonzero(found.genome):
        without = found.genome.copy()
        without[gene] = 0
        assert not without.any() or (worth(without, -np.inf) or 0.0) < 0.96 * found.worth


def test_no_genome_is_measured_twice_and_no_more_than_may_be() -> None:
    worth, few = Worth(*[0.5] * 10), Worth(*[0.0] * 10)
    accepting(worth, space(10))
    assert worth.asked == 11
    accepting(few, space(10), most=4)
    assert few.asked == 4


def test_the_way_there_is_kept_where_it_first_keeps_no_more_than_a_share() -> None:
    found = accepting(Worth(*[0.0] * 4, *[0.5] * 4), space(8))
    halts = found.halts(space(8), (0.75, 0.6, 0.5, 0.25))
    assert {share: genome.sum() for share, genome in halts.items()} == {0.75: 6}, "it ends with four, after five"
    assert not accepting(Worth(0.5, 0.5), space(2)).halts(space(2), (0.75, 0.25)), "nothing was accepted"


def test_a_floor_and_a_lock_are_kept() -> None:
    locked = Space((Gene("a"), Gene("b", locked=1), Gene("c")), (Group("text", (0, 2), floor=1),))
    assert accepting(Worth(0, 0, 0), locked).genome.tolist() == [0, 1, 1]


def test_the_highest_scores_stay_at_a_share() -> None:
    locked = Space((Gene("a"), Gene("b", locked=1), Gene("c"), Gene("d"), Gene("e")))
    scores = np.array([3.0, 9.0, 1.0, 2.0, 3.0])
    assert kept_by(scores, locked, 0.5).tolist() == [1, 1, 0, 0, 1]
    assert kept_by(scores, locked, 0.0).tolist() == [1, 1, 0, 0, 0]


def named(name: str) -> Any:
    return plugins.method("reference", name, "prompt-tokens")


def made_of(methods: dict[str, Any], worth: Worth) -> MadeReferences:
    bits = len(worth.harm)

    inputs = ReferenceInputs(space(bits), np.random.default_rng(1), worth, 100, lambda: np.arange(float(bits)))
    return made_references(methods, inputs, lambda genomes: genomes)


def test_references_are_named_random_ones_also_at_the_rate_of_the_costly_ones() -> None:
    worth = Worth(*[0.0] * 4, *[0.5] * 4)
    made = made_of({name: named(name) for name in ("random", "threshold-accepting", "perplexity")}, worth)
    genomes = {reference.name: reference.genome for reference in made.references}
    assert list(genomes)[:2] == ["unpruned", "threshold-accepting"]
    assert genomes["threshold-accepting"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert genomes["threshold-accepting-75"].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert genomes["random-as-threshold-accepting"].sum() == 4
    assert genomes["perplexity-25"].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert [genomes[f"random-{share}"].sum() for share in (75, 50, 25)] == [6, 4, 2]
    assert made.evaluations == {"threshold-accepting": worth.asked}


def test_deletion_in_runs_is_a_reference_and_one_of_the_usual_ones() -> None:
    worth = Worth(*[0.0] * 16, *[0.5] * 16)
    made = made_of({"accepting-in-runs": named("accepting-in-runs")}, worth)
    genomes = {reference.name: reference.genome for reference in made.references}
    assert genomes["accepting-in-runs"].tolist() == [0] * 16 + [1] * 16
    assert made.evaluations["accepting-in-runs"] == worth.asked
    assert "accepting-in-runs" in TokenOptions(prompt="").references


@pytest.mark.parametrize("most", [1, 5, 12])
def test_runs_are_measured_no_more_often_than_may_be(most: int) -> None:
    worth = Worth(*[0.02] * 40)
    accepting(worth, space(40), runs=8, most=most)
    assert worth.asked == most


class Halves:
    """Measures both halves, after all others."""

    order = 10

    def found(self, inputs: ReferenceInputs) -> Found:
        full = inputs.space.full
        halves = [np.where(np.arange(len(full)) < len(full) // 2, full, 0)]
        halves.append(full - halves[0])
        halves.sort(key=lambda half: -(inputs.worth(half, 0.0) or 0.0))
        ended = "-".join(reference.name for reference in inputs.ended)
        return Found(tuple(Reference(f"half-{n}-after-{ended}", half) for n, half in enumerate(halves)))


def test_what_methods_that_measure_end_with_comes_first_and_is_seen_by_those_after_them() -> None:
    worth = Worth(*[0.0] * 4, *[0.1] * 4)
    made = made_of({"mine:Halves": Halves(), "hill-climbing": named("hill-climbing"), "random": named("random")}, worth)
    names = [reference.name for reference in made.references]
    assert names[:4] == [
        "unpruned",
        "hill-climbing",
        "half-0-after-hill-climbing",
        "half-1-after-hill-climbing",
    ]
    assert made.references[2].genome.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert made.evaluations["mine:Halves"] == 2
    assert "random-as-hill-climbing" in names, "random deletion goes before a method that is to see it"


@dataclass(frozen=True)
class Says:
    """Finds what it is told to."""

    what: Found

    def found(self, inputs: ReferenceInputs) -> Found:
        return self.what


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (Found(starts={"mine": np.ones((1, 4), dtype=np.int64)}), r"reference 'mine': expected .* `inputs\.worth`"),
        (
            Found((Reference("mine", np.zeros(4, dtype=np.int64)),)),
            "reference 'mine': mine: 1 of 1 genomes are illegal",
        ),
        (Found((Reference("unpruned", np.ones(4, dtype=np.int64)),)), "different names, found 'unpruned' twice"),
    ],
)
def test_a_method_that_breaks_its_contract_is_refused(found: Found, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        made_of({"mine": Says(found)}, Worth(*[0.0] * 4))


def test_what_a_person_should_know_of_references_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="emoprune")
    made_of({"mine": Says(Found(notes=("nothing was found",)))}, Worth(0.0, 0.0))
    assert "references: nothing was found" in caplog.messages


@given(st.integers(1, 300), st.integers(1, 50))
def test_blocks_hold_every_row_once_and_end_at_half_of_what_is_left_to_halve(rows: int, first: int) -> None:
    found = blocks(rows, first)
    assert np.concatenate(found).tolist() == list(range(rows))
    assert len(found[0]) <= max(1, min(first, rows // 2))
    ends = [int(block[-1]) + 1 for block in found]
    assert all(earlier == (later + 1) // 2 for earlier, later in pairwise(ends))


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 40))
def test_the_best_mean_is_never_below_what_comes_of_it(hits: list[bool], seen: int) -> None:
    known = np.array(hits[: max(1, seen)], dtype=np.float64)
    assert best_mean(Accuracy(), known, len(hits)) >= np.mean(hits) - 1e-12


def baselines(*values: tuple[float, float]) -> Baselines:
    return Baselines(OBJECTIVES, np.array(values), frozenset({"itself"}), {"accuracy": Accuracy()})


@pytest.mark.parametrize(
    ("hits", "tokens", "given_up"),
    [
        ([0, 0, 0, 0], 30, True),  # at best 0.5 at more tokens than 0.75 at 20
        ([0, 0, 0, 0], 10, False),  # shorter than the baseline
        ([1, 1, 0, 0], 30, True),  # at best 0.75, as good as the baseline, and longer
        ([1, 1, 0, 0], 20, False),  # may become what the baseline is
        ([1, 1, 1, 0], 30, False),
    ],
)
def test_a_prompt_is_given_up_only_where_a_baseline_is_better_whatever_comes(
    hits: list[int], tokens: float, given_up: bool
) -> None:
    rule = baselines((0.75, 20.0)).against("a prompt", {"tokens": tokens})
    assert rule is not None
    assert rule({"accuracy": np.array(hits, dtype=np.float64)}, 8) is given_up


def test_no_prompt_is_given_up_while_an_objective_is_unknown_until_the_end() -> None:
    rule = baselines((0.75, 20.0)).against("a prompt", {})
    assert rule is not None
    assert not rule({"accuracy": np.zeros(4)}, 8), "how long it is, is said at the end"


def test_a_baseline_itself_is_always_measured_in_full() -> None:
    assert baselines((0.75, 20.0), (0.9, 10.0)).against("itself", {"tokens": 20.0}) is None
    assert Baselines(OBJECTIVES, np.zeros((0, 2)), frozenset(), {}).against("x", {"tokens": 1.0}) is None


def test_halving_looks_at_the_first_half_alone() -> None:
    rule = Halving("accuracy", 0.5)
    assert rule({"accuracy": np.array([0.0, 0, 1, 0])}, 8)
    assert not rule({"accuracy": np.array([1.0, 0, 1, 0])}, 8)
    assert not rule({"accuracy": np.array([0.0, 0])}, 8), "half of the examples come first"
    assert not rule({"accuracy": np.array([1.0, 0, 1, 0, 0, 0, 0, 0])}, 8)


def test_what_making_references_cost_is_kept_and_paid_once(model: Path, tmp_path: Path) -> None:
    options = {"references": ["threshold-accepting", "random", "perplexity"], "blocks": None, "stop_early": True}
    problem = prompt_tokens(model, parts(tmp_path), **options)
    problem.prepare(tmp_path, 1)
    kept = json.loads((tmp_path / "references.json").read_text())
    assert kept["evaluations"]["threshold-accepting"] > 5
    assert problem.evaluations_of_references == {**kept["evaluations"], "yardsticks": len(problem.references())}
    written = (tmp_path / "references.json").stat().st_mtime_ns
    again = prompt_tokens(model, parts(tmp_path), **options)
    again.prepare(tmp_path, 1)
    assert (tmp_path / "references.json").stat().st_mtime_ns == written
    assert [each.name for each in again.references()] == [each.name for each in problem.references()]


def test_whoever_is_interrupted_while_references_are_made_measures_nothing_twice(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, once = list[str](), Scoring.scored

    def scored(self: Scoring, template: Template, *more: Any) -> Any:
        if len(asked) == 6:
            asked.append("interrupted")
            raise KeyboardInterrupt
        asked.append(template.text)
        return once(self, template, *more)

    monkeypatch.setattr(Scoring, "scored", scored)
    made = [prompt_tokens(model, parts(tmp_path), references=["threshold-accepting"]) for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        made[0].prepare(tmp_path, 1)
    made[1].prepare(tmp_path, 1)
    assert len(set(asked)) == len(asked)
    assert made[1].evaluations_of_references["threshold-accepting"] == len(asked) - 1


def test_references_of_another_prompt_are_not_taken_for_ones_own(model: Path, tmp_path: Path) -> None:
    (tmp_path / "references.json").write_text('{"genomes": {"unpruned": [1, 1]}, "evaluations": {}}')
    with pytest.raises(RunCorrupt, match=r"references\.json cannot be read .* made for another prompt"):
        prompt_tokens(model, parts(tmp_path)).prepare(tmp_path, 1)


def test_a_prompt_that_is_given_up_has_a_row_that_is_dominated_all_the_same(model: Path, tmp_path: Path) -> None:
    rows, verbalisers = told(model, 80)
    cuts = {"search": rows[:60], "select": rows[60:70], "test": rows[70:]}
    examples = {name: str(written(tmp_path / f"{name}.tsv", own)) for name, own in cuts.items()}
    methods = ["threshold-accepting", "random"]
    early, full = (
        prompt_tokens(
            model,
            examples,
            verbalisers=verbalisers,
            references=methods,
            blocks=None,
            stop_early=stop,
            search_examples=None,
        )
        for stop in (True, False)
    )
    for problem in (early, full):
        problem.prepare(tmp_path, 1)
        problem.setup("cpu", 1)
    rng = np.random.default_rng(3)
    genomes = np.where(early.space.free, rng.random((30, len(early.space))) < 0.7, 1).astype(np.int64)
    seeds = np.zeros(len(genomes), dtype=np.uint64)
    stopped, whole = (np.array(each.evaluate(genomes, seeds, Split.SEARCH)) for each in (early, full))
    references = np.stack([each.genome for each in early.references()])
    baselines = np.array(early.evaluate(references, seeds[: len(references)], Split.SEARCH))
    changed = np.flatnonzero(stopped[:, 0] != whole[:, 0])
    assert len(changed) > 1, "some of them are given up"
    for row in changed.tolist():
        for values in (stopped[row], whole[row]):
            as_good = (baselines[:, 0] >= values[0]) & (baselines[:, 1] <= values[1])
            assert (as_good & (baselines != values).any(axis=1)).any()
    on_select = [np.array(each.evaluate(genomes, seeds, Split.SELECT)) for each in (early, full)]
    assert np.array_equal(*on_select)


def test_asking_before_preparing_is_refused(model: Path, tmp_path: Path) -> None:
    problem = prompt_tokens(model, parts(tmp_path))
    with pytest.raises(ContractError, match=r"call prepare\(folder, seed\) first"):
        problem.references()
    with pytest.raises(ContractError, match=r"call setup\(device, threads\) first"):
        problem.evaluate(problem.space.full[None], np.zeros(1, dtype=np.uint64), Split.SEARCH)
