"""Methods as plug-ins: found for the problem that asks, checked before they are made, listed by what they say."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from commands_for_tests import Command, entry_point
from problems_for_tests import Knapsack12, OfferingKnapsack12

from emoprune import plugins
from emoprune.commands.questions import Question
from emoprune.contracts import (
    Audit,
    Finding,
    FloatArray,
    Found,
    MeasuredErrors,
    Paper,
    Recovered,
    Reference,
    Starts,
    SurveyingMethod,
    about,
    about_of,
    number_of,
)
from emoprune.errors import ConfigError, ContractError
from emoprune.space import IntArray
from emoprune.testing import conformance

Recovery = Annotated[str | Mapping[str, Any], plugins.naming("recovery", "sack")]
PAPER = Paper("A Paper", "2302.05601")


@about("pruning", ["items"], serves=["sack"], cost="one sort", papers=[PAPER])
@dataclass(frozen=True)
class Heaviest:
    """Leaves out the heaviest.

    Args:
        count: How many are left out.
    """

    count: int = 3

    def found(self, inputs: Knapsack12) -> Found:
        genome = inputs.space.full.copy()
        genome[np.argsort(-inputs.space.costs, kind="stable")[: self.count]] = 0
        return Found((Reference(f"heaviest-{self.count}", genome),))


@about("pruning", ["items"], serves=["sack"], cost="nothing", training=True)
class Nothing:
    """Finds nothing."""

    def found(self, inputs: Knapsack12) -> Found:
        return Found()


@about("pruning", ["items"], serves=["other"], cost="nothing")
class Elsewhere(Nothing):
    """Serves another problem."""


@about("pruning", ["items"], serves=["sack"], cost="an evaluation for each item")
@dataclass(frozen=True)
class LeastMissed:
    """Leaves out the item that is missed least."""

    def found(self, inputs: Knapsack12) -> Found:
        return Found(starts={"each": 1 - np.eye(len(inputs.space), dtype=np.int64)})

    def picked(self, inputs: Knapsack12, starts: Starts, measured: MeasuredErrors) -> Found:
        errors = measured(starts["each"])
        best = starts["each"][np.argmin(errors)]
        return Found((Reference("least-missed", best),) if np.isfinite(errors).any() else ())


class Undecided(LeastMissed):
    """Has everything measured, and picks nothing."""

    def picked(self, inputs: Knapsack12, starts: Starts, measured: MeasuredErrors) -> Found:
        return Found()


class Overconfident(LeastMissed):
    """Does not think of what could not be measured."""

    def picked(self, inputs: Knapsack12, starts: Starts, measured: MeasuredErrors) -> Found:
        order = [int(error) for error in measured(starts["each"])]
        return Found((Reference("first", starts["each"][np.argmin(order)]),))


class Illegal(LeastMissed):
    """Picks what no sack can be."""

    def picked(self, inputs: Knapsack12, starts: Starts, measured: MeasuredErrors) -> Found:
        return Found((Reference("twice", 2 * inputs.space.full),))


@about("pruning", ["items"], serves=["sack"], cost="an evaluation for each item")
class Unread:
    """Has something measured that it never looks at."""

    def found(self, inputs: Knapsack12) -> Found:
        return LeastMissed().found(inputs)


class Silent:
    """Does not say what it is."""

    def found(self, inputs: Knapsack12) -> Found:
        return Found((Reference("silent", np.roll(inputs.space.full, 1)),))


@about("recovery", ["items"], serves=["sack"], cost="nothing")
@dataclass(frozen=True)
class PutBack:
    """Puts items back."""

    items: int = 1

    def __call__(self, case: tuple[OfferingKnapsack12, IntArray, Path, int]) -> Recovered:
        sack, genome, folder, seed = case
        return OfferingKnapsack12.recover(sack, genome, folder, seed, epochs=self.items)


@about("audit", ["items"], serves=["sack"], cost="nothing")
class Counting:
    """Counts the candidates."""

    def __call__(self, front: Sequence[Any]) -> Audit:
        return Audit([Finding("candidates", len(front), None, None, alarm=False, sentence="So many.")])


@about("audit", ["items"], serves=["sack"], cost="nothing")
class Unsteady:
    """Finds something else each time."""

    calls: ClassVar[list[int]] = []

    def __call__(self, front: Sequence[Any]) -> Audit:
        self.calls.append(1)
        return Audit([Finding("calls", len(self.calls), None, None, alarm=False, sentence="So many.")])


@dataclass(frozen=True, slots=True)
class SackOptions:
    """What a sack takes.

    Args:
        bits: How many items.
    """

    bits: int = 12


@dataclass(frozen=True, slots=True)
class FullSackOptions(SackOptions):
    """What a sack with references takes.

    Args:
        references: What a user would have picked.
    """

    references: Sequence[str | Mapping[str, Any]] = ("heaviest",)


class Sack(OfferingKnapsack12):
    """A sack whose methods are plug-ins."""

    options: ClassVar = FullSackOptions

    def __init__(self, **given: Any) -> None:
        own = FullSackOptions(**given)
        super().__init__(own.bits)
        self._methods = plugins.methods("reference", own.references, "sack", option="references")

    def references(self) -> Sequence[Reference]:
        made = [each for method in self._methods.values() for each in method.found(self).references]
        return [super().references()[0], *made]

    def starts(self) -> IntArray:
        starts = [each for method in self._methods.values() for each in method.found(self).starts.values()]
        return np.concatenate([np.zeros((0, len(self.space)), dtype=np.int64), *starts])

    def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
        errors = np.nan_to_num(values[:, 0], nan=np.inf).tolist()
        known = dict(zip(self.space.keys(genomes), errors, strict=True))

        def measured(wanted: IntArray) -> FloatArray:
            return np.array([known.get(key, np.inf) for key in self.space.keys(wanted)])

        asked = [method for method in self._methods.values() if isinstance(method, SurveyingMethod)]
        return [each for own in asked for each in own.picked(self, own.found(self).starts, measured).references]

    def recover(
        self, genome: IntArray, folder: Path, seed: int, *, method: Any = "put-back", items: int = 1
    ) -> Recovered:  # type: ignore[override]  # other options
        chosen = plugins.method("recovery", method, "sack", option="method", shared={"items": items})
        answer: Recovered = chosen((self, genome, folder, seed))
        return answer

    def audit(self, candidates: Any, folder: Path, seed: int, *, method: Any = "counting") -> Audit:  # type: ignore[override]  # other options
        answer: Audit = plugins.method("audit", method, "sack")(candidates)
        return answer


ENTRY_POINTS = """\
[emoprune.problems]
sack = test_methods:Sack
other = test_methods:Sack
[emoprune.samples]
sack = test_methods:Sack
[emoprune.references]
heaviest = test_methods:Heaviest
sack.nothing = test_methods:Nothing
other.nothing = test_methods:Elsewhere
elsewhere = test_methods:Elsewhere
silent = test_methods:Silent
gone = test_methods:Gone
[emoprune.recoveries]
put-back = test_methods:PutBack
[emoprune.audits]
counting = test_methods:Counting
"""


SURVEYING = (LeastMissed, Undecided, Overconfident, Illegal, Unread)


@pytest.fixture(autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this file be a package that pip installed."""
    folder = tmp_path_factory.mktemp("stranger")
    info = folder / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(sys.modules, "test_methods", sys.modules[__name__])
    for each in (Heaviest, Nothing, *SURVEYING, Elsewhere, Silent, PutBack, Counting, Unsteady, Sack):
        monkeypatch.setattr(each, "__module__", "test_methods")


class TestFinding:
    def test_a_problem_finds_its_own_methods_and_those_for_anyone_by_short_names(self) -> None:
        assert {"heaviest", "nothing", "elsewhere", "silent"} <= set(plugins.serving("reference", "sack"))
        assert plugins.find("reference", "nothing", "sack") is Nothing
        assert plugins.find("reference", "nothing", "other") is Elsewhere

    def test_a_method_is_made_from_a_name_a_mapping_or_an_import_target(self) -> None:
        for given in ("heaviest", "test_methods:Heaviest", {"name": "heaviest"}):
            assert plugins.method("reference", given, "sack") == Heaviest()
        assert plugins.method("reference", {"name": "test_methods:Heaviest", "count": 5}, "sack") == Heaviest(5)

    def test_options_that_a_problem_shares_go_to_the_methods_that_know_them(self) -> None:
        shared = {"count": 4, "rate": 0.1}
        assert plugins.method("reference", "heaviest", "sack", shared=shared) == Heaviest(4)
        assert plugins.method("reference", {"name": "heaviest", "count": 5}, "sack", shared=shared) == Heaviest(5)
        assert isinstance(plugins.method("reference", "nothing", "sack", shared=shared), Nothing)

    @pytest.mark.parametrize(
        ("given", "complaint"),
        [
            (["heavyest"], r"references: no reference is called 'heavyest'; did you mean 'heaviest'\?"),
            (["elsewhere"], r"references: 'elsewhere' serves other, not sack; `emoprune list references` says which"),
            ([{"name": "heaviest", "cuont": 3}], r"reference 'heaviest': cuont: .*did you mean 'count'"),
            ([{"name": "heaviest", "count": "3"}], r"reference 'heaviest': count: expected an integer"),
            (["heaviest", "heaviest"], "references: expected each once, found 'heaviest' again"),
            ([{"count": 3}], "references: expected a name, or a mapping with a name and options"),
            (["gone"], "references: reference 'gone' cannot be imported"),
        ],
    )
    def test_what_cannot_be_used_is_refused_before_anything_runs(self, given: list[Any], complaint: str) -> None:
        with pytest.raises(ConfigError, match=complaint):
            plugins.build("problem", "sack", {"references": given})

    @pytest.mark.parametrize(
        ("word", "complaint"),
        [
            ("method=put-bakc", r"--set method=put-bakc: .*no recovery is called 'put-bakc'; did you mean 'put-back'"),
            ("method={name: put-back, itmes: 2}", r"recovery 'put-back': itmes: .*did you mean 'items'"),
            ("method=[1]", "--set method="),
        ],
    )
    def test_an_option_that_names_a_method_is_refused_when_it_is_read(self, word: str, complaint: str) -> None:
        def recover(
            *, method: Annotated[str | Mapping[str, Any], plugins.naming("recovery", "sack")] = "put-back"
        ) -> None:
            raise AssertionError(method)

        assert Question.of(recover, ["method={name: put-back, items: 2}"]).given == {
            "method": {"name": "put-back", "items": 2}
        }
        with pytest.raises(ConfigError, match=complaint):
            Question.of(recover, [word])

    def test_a_name_that_only_other_problems_know_says_whose_it_is(self) -> None:
        with pytest.raises(
            ConfigError, match=r"no reference is called 'nothing'.*; one of that name serves other, sack"
        ):
            plugins.method("reference", "nothing", "knapsack")

    @pytest.mark.parametrize(
        ("kind", "complaint"),
        [
            (
                "objective",
                "'test_methods:Silent': expected the members .*, found none called __call__, unit, direction",
            ),
            ("saliency", "saliency 'test_methods:Silent': expected the members __call__, found none"),
        ],
    )
    def test_a_method_that_lacks_a_member_of_its_kind_is_refused_by_what_is_missing(
        self, kind: str, complaint: str
    ) -> None:
        with pytest.raises(ContractError, match=complaint):
            plugins.method(kind, "test_methods:Silent", "sack")


class TestRecordsOfOptions:
    def test_inherited_options_come_first_with_what_they_mean(self) -> None:
        assert list(plugins.options_model(Sack).model_fields) == ["bits", "references"]
        assert plugins.meanings(Sack) == {"bits": "How many items.", "references": "What a user would have picked."}

    def test_they_are_checked_and_filled_in_like_arguments(self) -> None:
        assert plugins.settled("problem", "sack", {"bits": 7}) == {"bits": 7, "references": ["heaviest"]}
        assert len(plugins.build("problem", "sack", {"bits": 7}).space) == 7


class TestAbout:
    @pytest.mark.parametrize(
        ("paper", "complaint"),
        [
            (("", "2302.05601"), "paper: expected a title"),
            (("A Paper",), "an arXiv id or where it appeared"),
            (("A Paper", "arXiv:2302.05601"), "expected an arXiv id such as 2302.05601, found 'arXiv:2302.05601'"),
        ],
    )
    def test_a_paper_without_a_title_or_a_place_is_refused(self, paper: tuple[str, ...], complaint: str) -> None:
        with pytest.raises(ContractError, match=complaint):
            Paper(*paper)

    @pytest.mark.parametrize(
        ("said", "complaint"),
        [
            ({"family": "magic"}, "expected a family of pruning, quantisation, .*found 'magic'"),
            ({"granularity": []}, "expected words for granularity, serves and cost"),
            ({"cost": " "}, "expected words for granularity, serves and cost"),
            ({"serves": [""]}, "expected words for granularity, serves and cost"),
        ],
    )
    def test_a_method_that_says_half_of_what_it_is_is_refused(self, said: dict[str, Any], complaint: str) -> None:
        with pytest.raises(ContractError, match=complaint):
            about(**{"family": "pruning", "granularity": ["items"], "cost": "nothing", **said})

    def test_what_says_nothing_is_told_apart(self) -> None:
        own = about_of(Heaviest)
        assert own is not None
        assert str(own.papers[0]) == "A Paper (arXiv 2302.05601)"
        assert about_of(Silent) is None


class TestMenu:
    @pytest.fixture
    def emoprune(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
        return entry_point(monkeypatch, capsys)

    def listed(self, emoprune: Command, *words: str) -> dict[str, Any]:
        shown = emoprune("list", "methods", *words, "--json")
        assert shown.code == 0, shown.err
        found: dict[str, Any] = json.loads(shown.out)
        return found

    def test_methods_are_listed_by_what_they_say_they_are(self, emoprune: Command) -> None:
        found = self.listed(emoprune)["references"]
        assert found["heaviest"] == {
            "does": "Leaves out the heaviest.",
            "family": "pruning",
            "granularity": ["items"],
            "serves": ["sack"],
            "gradients": False,
            "training": False,
            "cost": "one sort",
            "papers": [{"title": "A Paper", "arxiv": "2302.05601", "appeared": ""}],
        }
        assert found["other.nothing"]["serves"] == ["other"], "the problem whose name it bears"
        assert found["silent"] == {"unusable": "it does not say what it is"}
        assert "cannot be imported" in found["gone"]["unusable"]

    def test_a_person_sees_a_line_for_each_under_what_it_is_for(self, emoprune: Command) -> None:
        shown = emoprune("list", "methods").out
        lines = [line.split() for line in shown[shown.index("references for sack") :].splitlines()]
        assert lines[:3] == [
            ["references", "for", "sack"],
            ["heaviest", "Leaves", "out", "the", "heaviest.", "2302.05601"],
            ["nothing", "Finds", "nothing.", "training"],
        ]
        assert "elsewhere  Serves another problem." in shown
        assert "unusable: it does not say what it is" in shown
        assert not any(line.endswith(" ") for line in shown.splitlines())
        assert max(map(len, shown.splitlines())) > 120, "nobody looks, so nothing is cut"

    def test_they_are_chosen_by_problem_paper_and_whether_they_train(self, emoprune: Command) -> None:
        assert list(self.listed(emoprune, "--serves", "sack")["references"]) == ["heaviest", "sack.nothing"]
        assert list(self.listed(emoprune, "--serves", "sack", "--tuning-free")["references"]) == ["heaviest"]
        assert list(self.listed(emoprune, "--serves", "other")["references"]) == ["elsewhere", "other.nothing"]
        assert "heaviest" in self.listed(emoprune, "--paper", "2302.05601")["references"]
        for given in ("arXiv:2302.05601v2", "https://arxiv.org/abs/2302.05601", "a paper"):
            assert "heaviest" in self.listed(emoprune, "--paper", given)["references"]

    def test_a_page_has_a_line_for_each_that_is_wanted(self, emoprune: Command) -> None:
        shown = emoprune("list", "methods", "--markdown", "--serves", "sack").out
        assert "\n## References\n" in shown
        rows = [line.split(" | ") for line in shown.splitlines() if "| pruning | items |" in line]
        assert [row[0] for row in rows] == ["| `heaviest`", "| `nothing`"]
        assert {row[4] for row in rows} == {"sack"}

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("methods", "--serves", "sak"), "--serves: no problem is called 'sak'; did you mean 'sack'"),
            (("references", "--tuning-free"), "choose among methods: emoprune list methods"),
            (("methods", "--paper", "0000.00000"), "--paper: no method names 0000.00000"),
            (("methods", "--package", "nobody"), "--package: no method that is wanted comes with nobody"),
            (("methods", "--markdown"), "it does not say what it is; the page would be without it"),
        ],
    )
    def test_a_choice_that_means_nothing_is_refused(
        self, emoprune: Command, words: tuple[str, ...], complaint: str
    ) -> None:
        shown = emoprune("list", *words)
        assert shown.code == 2
        assert complaint in shown.err


class TestHeaviest(conformance("reference", Heaviest)):  # type: ignore[misc]  # a class made here
    pass


TestHeaviestTwo = conformance("reference", "heaviest", "sack", options={"count": 2})
TestLeastMissed = conformance("reference", LeastMissed)
TestPutBack = conformance("recovery", PutBack)
TestCounting = conformance("audit", "counting", "sack")


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(ContractError, match=r"expected a kind of method, of criterion, .*; found 'critrion'"):
        conformance("critrion", Heaviest)


@pytest.mark.parametrize(
    ("kind", "method", "check", "complaint"),
    [
        ("reference", Silent, "test_it_says_what_it_is", "method: expected `about`"),
        ("reference", Nothing, "test_it_picks_genomes_or_names_some_to_be_measured", "expected a genome beside"),
        (
            "reference",
            Unread,
            "test_it_picks_from_what_was_measured",
            "expected starts and a member `picked`, or neither",
        ),
        ("reference", Undecided, "test_it_picks_from_what_was_measured", "expected a reference from what was measured"),
        (
            "reference",
            Overconfident,
            "test_it_picks_from_what_was_measured",
            "or none where nothing was measured; found",
        ),
        ("reference", Illegal, "test_it_picks_from_what_was_measured", "surveyed 'twice': 1 of 1 genomes are illegal"),
        ("audit", Unsteady, "test_it_finds_the_same_from_the_same_seed", "again from the same seed"),
    ],
)
def test_a_broken_promise_fails_its_own_check(kind: str, method: Any, check: str, complaint: str) -> None:
    broken = conformance(kind, method, "sack")()
    with pytest.raises(ContractError, match=complaint):
        getattr(broken, check)()


@pytest.mark.parametrize("said", [3, np.float32(3), np.array([3.0])])
def test_a_number_of_any_kind_is_what_an_objective_says(said: Any) -> None:
    assert number_of("mine", lambda _seen: said, None) == 3.0  # type: ignore[arg-type]  # without a unit


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (None, "None"),
        ("3", "'3'"),
        (np.zeros(3), r"ndarray of shape \(3,\)"),
        ([1.0], r"\[1\.0\]"),
        ({}, "{}"),
    ],
)
def test_what_is_no_number_is_refused_with_the_objective_and_what_it_said(said: Any, found: str) -> None:
    with pytest.raises(ContractError, match=rf"objective 'mine': expected one number, found {found}; return a float"):
        number_of("mine", lambda _seen: said, None)  # type: ignore[arg-type]  # without a unit
