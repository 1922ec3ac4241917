"""Every method of the problems on tables, and those of a stranger, which go through the same door."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from methods_for_tests import prepared, target

import emoprune
from emoprune import plugins
from emoprune.contracts import (
    Audit,
    Constraint,
    Direction,
    Finding,
    Found,
    Objective,
    Reference,
    Sense,
    about,
    about_of,
)
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.tables import EvolvedFeatures, sample
from emoprune.problems.tables.objectives.contract import Counted, Seen
from emoprune.problems.tables.streams.references.contract import ReferenceInputs as StreamInputs
from emoprune.problems.tables.subsets.audits.contract import SubsetFront
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs
from emoprune.records import Candidate, Split
from emoprune.testing import conformance

PROBLEMS = ("features", "feature-subset", "tabular-stream")
KINDS = ("reference", "objective", "audit")
QUICK: Mapping[str, Mapping[str, Any]] = {"boruta": {"rounds": 8, "trees": 5}, "folds-and-permutations": {"repeats": 2}}


def own_methods(kind: str) -> dict[str, str]:
    """Return the installed methods of a kind by their names, each with a problem on tables that it serves."""
    found: dict[str, str] = {}
    for problem in PROBLEMS:
        for name, entry in plugins.serving(kind, problem).items():
            if entry.module.startswith("emoprune.problems.tables.") and plugins.serves(entry.load(), problem):
                found.setdefault(name, problem)
    return found


METHODS = [(kind, name, problem) for kind in KINDS for name, problem in own_methods(kind).items()]

# Each method is tried by a class that is made for it here, so one that is added is covered by being installed. What
# is measured with a clock is another number each time, and has tests of its own.
for _kind, _name, _problem in METHODS:
    if _name != "milliseconds":
        _class = f"Test{_kind.capitalize()}{_name.title().replace('-', '')}"
        globals()[_class] = conformance(_kind, _name, _problem, options=QUICK.get(_name, {}), genomes=2)


def test_the_methods_of_this_domain_are_found() -> None:
    assert own_methods("reference").keys() >= {"openfe", "rfe", "mutual-information", "boruta", "forward"}
    assert own_methods("reference").keys() >= {"once", "drift", "always", "information"}
    assert own_methods("objective").keys() >= {"columns", "sources", "price", "milliseconds", "changes"}
    assert own_methods("audit").keys() >= {"folds-and-permutations"}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_says_what_it_is_and_times_predictions_where_it_is_asked_to(problem: str) -> None:
    own = about_of(plugins.find("problem", problem))
    assert own is not None
    assert own.training
    timed: Any = plugins.find("sample", problem)(objectives=["milliseconds"])
    assert timed.objectives[-1] == Objective("milliseconds", Direction.MINIMISE, "ms")


@about("pruning", ["columns"], serves=["features", "feature-subset"], cost="nothing")
@dataclass(frozen=True)
class Alphabetic:
    """The columns whose names come first."""

    count: int = 2

    def found(self, inputs: ReferenceInputs) -> Found:
        genome = np.zeros(len(inputs.space), dtype=np.int64)
        genome[np.argsort([str(each) for each in inputs.columns])[: self.count]] = 1
        return Found((Reference(f"alphabetic-{self.count}", genome),), notes=("letters say nothing",))


@about("pruning", ["columns"], serves=["tabular-stream"], cost="nothing")
@dataclass(frozen=True)
class Drawn:
    """Policies drawn at random."""

    count: int = 1

    def found(self, inputs: StreamInputs) -> Found:
        drawn = inputs.rng.integers(inputs.space.levels, size=(self.count, len(inputs.space)))
        return Found(tuple(Reference(f"drawn-{number}", genome) for number, genome in enumerate(drawn)))


@about("pruning", ["columns"], serves=["tabular-stream"], cost="nothing")
class Beyond:
    """Keeps more columns than there are."""

    def found(self, inputs: StreamInputs) -> Found:
        return Found((Reference("beyond", inputs.genes.unpruned + 1),))


@about("pruning", ["columns"], serves=["features", "tabular-stream"], cost="nothing")
class Asking:
    """Wants genomes to be measured."""

    def found(self, inputs: ReferenceInputs) -> Found:
        return Found(starts={"some": inputs.space.full[np.newaxis]})


@about("pruning", ["columns"], serves=["features"], cost="nothing")
class Illegal:
    """Keeps nothing."""

    def found(self, inputs: ReferenceInputs) -> Found:
        return Found((Reference("nothing", np.zeros(len(inputs.space), dtype=np.int64)),))


@about("measurement", ["columns"], serves=["features", "feature-subset"], cost="a count")
class Letters:
    """How many letters the names of the columns have, the more the better."""

    unit: ClassVar[str] = "letters"
    direction: ClassVar[Direction] = Direction.MAXIMISE

    def __call__(self, seen: Seen) -> float:
        return float(sum(map(len, seen.sources)))

    def worst(self, whole: Seen) -> float:
        return 0.0


@about("measurement", ["columns"], serves=["features", "feature-subset", "tabular-stream"], cost="nothing")
@dataclass(frozen=True)
class Doubt:
    """How far predicted probabilities are from certain."""

    power: int = 1

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        assert len(seen.trained.predictions) == len(seen.trained.target)
        return float(np.mean((1 - seen.trained.predictions.max(axis=1)) ** self.power))


@about("measurement", ["columns"], serves=["features"], cost="nothing")
class Confused(Letters):
    """Says that it is counted, and asks for a model."""

    def __call__(self, seen: Seen) -> float:
        return float(len(seen.trained.predictions))


@about("audit", ["columns"], serves=["features", "feature-subset"], cost="nothing")
class Sizes:
    """How many columns the largest subset has."""

    def __call__(self, front: SubsetFront) -> Audit:
        most = float(max(map(len, front.subsets)))
        return Audit([Finding("size", most, None, None, alarm=False, sentence="So many.")])


TestAlphabetic = conformance("reference", Alphabetic)
TestDrawn = conformance("reference", Drawn, genomes=2)
TestLetters = conformance("objective", Letters)
TestDoubt = conformance("objective", Doubt, "feature-subset", options={"power": 2}, genomes=2)
TestDoubtOfStreams = conformance("objective", Doubt, "tabular-stream", genomes=2)
TestSizes = conformance("audit", Sizes)


def test_a_strangers_reference_is_kept_in_the_run_as_what_it_keeps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = [{"name": target(Alphabetic), "count": 3}]
    with caplog.at_level(logging.INFO, logger="emoprune"):
        problem = prepared(sample.features(references=given), tmp_path)
    assert "references: letters say nothing" in caplog.text
    written = json.loads((tmp_path / "references.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in written] == ["unpruned", "alphabetic-3"]
    kept = sorted(problem.task.table.names)[:3]
    assert sorted(term["column"] for term in written[1]["terms"]) == kept
    assert [str(term) for term in sorted(problem.kept(problem.references()[1].genome))] == kept


@pytest.mark.parametrize(
    ("made", "method", "complaint"),
    [
        (sample.features, Asking, "expected no starts, found some; measure with `inputs.loss`"),
        (sample.features, Illegal, "genomes are illegal"),
        (sample.tabular_stream, Asking, "expected no starts, found some; nothing is measured before a stream is"),
        (sample.tabular_stream, Beyond, "genomes are illegal"),
    ],
)
def test_a_reference_that_cannot_be_had_is_refused_by_its_name(
    tmp_path: Path, made: Any, method: type, complaint: str
) -> None:
    with pytest.raises(ContractError, match=f"reference .*{method.__name__}.*: .*{complaint}"):
        made(references=[target(method)]).prepare(tmp_path, 1)


def test_a_strangers_policies_are_drawn_from_the_seed_whatever_others_there_are(tmp_path: Path) -> None:
    def drawn(seed: int, *others: str) -> dict[str, list[int]]:
        problem = sample.tabular_stream(references=[*others, {"name": target(Drawn), "count": 2}])
        problem.prepare(tmp_path, seed)
        return {each.name: each.genome.tolist() for each in problem.references() if each.name.startswith("drawn")}

    assert drawn(1) == drawn(1, "once")
    assert drawn(1) != drawn(2)
    assert len(drawn(1)) == 2


def test_a_strangers_measure_is_called_by_the_name_of_its_class_and_can_be_bounded(tmp_path: Path) -> None:
    problem = prepared(
        FeatureSubset(
            data="iris", references=[], folds=2, costs=[target(Letters)], at_most={"Letters": 20, target(Doubt): 0.5}
        ),
        tmp_path,
    )
    assert problem.objectives[1] == Objective("Letters", Direction.MAXIMISE, "letters")
    assert problem.constraints == (
        Constraint("Letters-bound", 20, "", Sense.AT_LEAST),
        Constraint("Doubt-bound", 0.5, "", Sense.AT_MOST),
    )
    ((error, letters, bounded, doubt),) = problem.evaluate(
        problem.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH
    )
    assert letters == bounded == sum(map(len, problem.task.table.names))
    assert 0 < doubt < error + 0.2


def test_subsets_race_only_where_everything_but_the_metric_is_counted(tmp_path: Path) -> None:
    assert isinstance(Letters(), Counted)
    assert not isinstance(Doubt(), Counted)
    counted, measured = (
        prepared(sample.feature_subset(objectives=[target(own)], race=2.0), tmp_path) for own in (Letters, Doubt)
    )
    assert counted.task.measures.all_counted
    assert not measured.task.measures.all_counted
    assert measured.task._race is None
    assert counted.task._race.costs == {"columns": 1.0, "Letters": -1.0}


def test_a_measure_that_is_counted_has_no_model_to_look_at() -> None:
    with pytest.raises(ContractError, match="a measure that has `worst` is counted before anything is trained"):
        Confused()(Seen(sample.features().task.table, ()))


def test_a_stream_takes_a_strangers_measure_with_the_predictions_of_all_windows(tmp_path: Path) -> None:
    problem = prepared(sample.tabular_stream(objectives=[target(Doubt), "changes"]), tmp_path)
    genome = problem.references()[1].genome
    ((_, _, doubt, changes),) = problem.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)
    assert 0 < doubt < 0.5
    assert changes == 0


def test_a_strangers_audit_is_asked_for_by_its_import_target(tmp_path: Path) -> None:
    problem = prepared(sample.features(), tmp_path)
    found = problem.audit([Candidate(1, problem.space.full, 0, "test")], tmp_path, 1, method=target(Sizes))
    assert found.findings[0].value == len(problem.kept(problem.space.full))


@pytest.mark.parametrize(
    ("problem", "options", "complaint"),
    [
        ("features", {"references": ["borutta"]}, "references: no reference is called 'borutta'.*'boruta'"),
        ("features", {"references": [{"name": "rfe", "droped": 0.5}]}, "reference 'rfe': droped: .*'dropped'"),
        ("features", {"references": [{"name": "rfe", "dropped": 1.5}]}, "rfe: dropped: expected a share between 0"),
        ("feature-subset", {"references": [{"name": "boruta", "rounds": 0}]}, "boruta: expected rounds and trees from"),
        ("feature-subset", {"references": [{"name": "forward", "most": 1}]}, "forward: expected most and tried from 2"),
        ("feature-subset", {"references": ["tables_for_tests:NoSuchThing"]}, "no class or function 'NoSuchThing'"),
        ("feature-subset", {"costs": ["macs"]}, "costs: .*'macs'"),
        ("features", {"costs": [{"name": "columns", "most": 3}]}, "objective 'columns': most: unknown option"),
        ("features", {"costs": [{"prices": {}}]}, "costs: expected a name, or a mapping with a name and options"),
        ("features", {"at_most": {"colums": 3}}, "at_most: no objective is called 'colums'.*'columns'"),
        ("tabular-stream", {"costs": ["price"]}, "costs: 'price' serves features, feature-subset, not tabular-stream"),
        ("tabular-stream", {"costs": ["changes", "changes"]}, "costs: expected each once, found 'changes' again"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_runs(
    problem: str, options: dict[str, Any], complaint: str
) -> None:
    data = {"data": "breast-cancer", "window": 64} if problem == "tabular-stream" else {"data": "iris"}
    with pytest.raises(ConfigError, match=complaint):
        plugins.build("problem", problem, {**data, **options})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            {"method": "folds-and-permutation"},
            "method: no audit is called 'folds-and-permutation'.*'folds-and-permutations'",
        ),
        ({"method": {"name": "folds-and-permutations", "repeat": 3}}, "repeat: .*'repeats'"),
        ({"repeats": 1}, "expected at least 2 repeats and 1 permutation, found 1 and 3"),
    ],
)
def test_an_audit_that_cannot_be_made_is_refused_before_it_is_set_up(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        sample.features().audit([], Path(), 1, **options)


def test_a_search_with_a_strangers_methods_runs(tmp_path: Path) -> None:
    given = {"costs": ["columns", target(Letters)], "references": [{"name": target(Alphabetic), "count": 1}, "rfe"]}
    config = {
        "problem": {"name": "feature-subset", "data": "iris", "folds": 2, **given},
        "search": {"population": 4, "generations": 1, "seed": 3},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path, name="one")
    for _ in search:
        pass
    assert {"alphabetic-1", "rfe-2"} <= set(search.run.pareto["name"])
    assert "obj.Letters" in search.run.pareto


def test_evolved_features_takes_a_strangers_methods() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(120, 4))
    transformer = EvolvedFeatures(
        mode="select",
        costs=["columns", target(Letters)],
        references=[{"name": target(Alphabetic), "count": 1}],
        population=4,
        generations=1,
        budget=10,
        survivors=2,
        folds=2,
        random_state=0,
    )
    transformer.fit(inputs, inputs[:, 0] > 0)
    assert "alphabetic-1" in set(transformer.front_["name"])
