"""What every method promises, as checks: it is put to use in a small instance of a problem that it serves.

One line is a whole test class, which pytest finds and runs:

    TestMine = conformance("reference", Mine)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from emoprune import plugins
from emoprune.contracts import Audit, Failure, Prepared, Problem, Recovered, SurveyingMethod, about_of
from emoprune.contracts.surveys import Starting, Surveying
from emoprune.records import Candidate, Split
from emoprune.testing.outlines import PREPARED_BY, OutlineConformance, generation_0
from emoprune.testing.problems import ProblemConformance
from emoprune.testing.promises import require

__all__ = [
    "ArchitectureConformance",
    "AuditConformance",
    "CriterionConformance",
    "KeptConformance",
    "MaskConformance",
    "MethodConformance",
    "ObjectiveConformance",
    "PartConformance",
    "RecoveryConformance",
    "ReferenceConformance",
    "conformance",
]

SEED = 3


class MethodConformance:
    """Checks of any method; derive from the class of its kind and say which, or let `conformance` do it.

    Attributes:
        kind: One of `emoprune.plugins.METHOD_KINDS`.
        method: Its class or function, which can be imported by its name, or the name of an installed one.
        serves: The problem on whose sample it is tried; the first that it serves unless said.
        options: Its own options.
    """

    kind: ClassVar[str]
    method: ClassVar[Callable[..., Any] | str]
    serves: ClassVar[str | None] = None
    options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def factory(cls) -> Callable[..., Any]:
        """Return the method's class or function."""
        given = cls.method
        return plugins.find(cls.kind, given, cls.serves) if isinstance(given, str) else given

    @classmethod
    def given(cls) -> dict[str, Any]:
        """Return what a config says of the method: its name, or where it is imported from, and its options."""
        given = cls.method
        name = given if isinstance(given, str) else f"{given.__module__}:{given.__qualname__}"
        return {"name": name, **cls.options}

    @classmethod
    def served(cls) -> str:
        """Return the problem on whose sample the method is tried."""
        own = about_of(cls.factory())
        chosen = cls.serves or next(iter(own.serves if own is not None else ()), None)
        require(chosen is not None, "conformance: expected `serves`, a problem to try the method on", "none")
        return str(chosen)

    @classmethod
    def sample(cls, **options: Any) -> Problem:
        """Return a small instance of the problem, given these options."""
        made: Problem = plugins.find("sample", cls.served())(**options)
        return made

    def test_it_says_what_it_is(self) -> None:
        """A person chooses by that, from `emoprune list methods`."""
        own = about_of(self.factory())
        require(own is not None, "method: expected `about`, as emoprune.contracts.about writes it", "none")
        require(bool(plugins.summary(self.factory())), "method: expected a first line of documentation", "none")
        problems = plugins.available("problem")
        unknown = [name for name in (own.serves if own is not None else ()) if name not in problems]
        require(not unknown, f"about: serves: expected names of problems, of {', '.join(problems)}", unknown)

    def test_its_options_can_be_checked_before_anything_runs(self) -> None:
        """So that a misspelt option is refused when the config is read, not hours later."""
        names = plugins.option_names(self.factory())
        unknown = [name for name in self.options if name not in names]
        require(not unknown, f"method: expected options among {', '.join(sorted(names)) or 'none'}", unknown)
        plugins.method(self.kind, self.given(), self.served())


class PartConformance(MethodConformance, ProblemConformance):
    """Checks of a method that a problem measures with: a problem that uses it keeps every promise of a problem."""

    genomes: ClassVar[int] = 3
    flags: ClassVar[tuple[str, ...]] = ()  # the attributes that a problem's own check of the kind is handed

    def problem(self) -> Problem:
        """Return the sample, which uses the method."""
        return self.sample(**{self.kind: self.given()})

    def test_it_keeps_the_promises_of_its_kind_and_leaves_what_it_is_given_alone(self) -> None:
        """As the problem checks it on small samples of its own; where it has no such check, nothing is asked."""
        served = self.served()
        if self.kind in plugins.serving("check", served):
            check = plugins.find("check", self.kind, served)
            flags = {flag: getattr(self, flag) for flag in self.flags}
            check(lambda: plugins.method(self.kind, self.given(), served), **flags)

    def test_something_else_than_the_unpruned_thing_can_be_measured(self) -> None:
        """A method that spoils all that is pruned leaves nothing to search for."""
        genomes, full = self._batch(self._ready())[0], self._ready().references()[0].genome
        others = [row for row, own in zip(self._in_one_go(), genomes, strict=True) if not np.array_equal(own, full)]
        failed = [row.reason for row in others if isinstance(row, Failure)]
        require(
            len(failed) < len(others) or not others, "evaluate: expected a pruned genome that is no failure", failed
        )


class KeptConformance(PartConformance):
    """Checks of a method whose scores or statistics are kept in the folder of a run."""

    def test_a_row_is_the_same_when_all_is_prepared_anew(self) -> None:
        """What is kept of a method in a run's folder comes from the run's seed alone."""
        with _prepared(self.problem(), PREPARED_BY) as problem:
            self._require_same_rows("when all is prepared anew", [self._places()], self._set_up(problem))


class CriterionConformance(KeptConformance):
    """Checks of a method that ranks units.

    Attributes:
        blind: Whether scores may stay where they are when units change places, as random ones do.
        ordered: Whether the order of the calibration batches may change scores by more than rounding.
        tolerance: By how much of the largest score rounding may change one; None for what the problem takes for it.
    """

    flags = ("blind", "ordered", "tolerance")
    blind: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    tolerance: ClassVar[float | None] = None


class ReferenceConformance(MethodConformance, OutlineConformance):
    """Checks of a method that picks genomes; how genomes are measured does not depend on it."""

    genomes: ClassVar[int] = 3

    def problem(self) -> Problem:
        """Return the sample with the method's references alone beside the unpruned genome."""
        return self.sample(references=[self.given()])

    def test_it_picks_genomes_or_names_some_to_be_measured(self) -> None:
        """All randomness comes from the seed: a second time, elsewhere, they are the same."""
        picked = []
        for _ in range(2):
            with _prepared(self.problem()) as problem:
                names = [reference.name for reference in problem.references()]
                picked.append((names, generation_0(problem)))
        require(len(picked[0][1]) > 1, "reference: expected a genome beside the unpruned one, or starts", "none")
        same = picked[0][0] == picked[1][0] and np.array_equal(picked[0][1], picked[1][1])
        require(same, "reference: expected the same genomes from the same seed", "different ones")

    def test_it_picks_from_what_was_measured(self) -> None:
        """Legal genomes under names of their own, the same from the same errors; none need be where none is finite."""
        problem = self._ready()
        asks = isinstance(problem, Surveying) and isinstance(problem, Starting) and len(problem.starts()) > 0
        picks = isinstance(plugins.method(self.kind, self.given(), self.served()), SurveyingMethod)
        require(asks == picks, "reference: expected starts and a member `picked`, or neither", "one without the other")
        if asks:
            genomes = generation_0(problem)
            values = self._values(genomes)
            require(
                len(self._picked(genomes, values)) > 0, "picked: expected a reference from what was measured", "none"
            )
            self._picked(genomes, np.full_like(values, np.nan))


class ObjectiveConformance(PartConformance):
    """Checks of a measure."""

    def problem(self) -> Problem:
        """Return the sample with the measure as its objective, beside what the sample counts."""
        return self.sample(objectives=[self.given()])

    def test_it_is_an_objective_of_the_problem(self) -> None:
        """Under its own name, so that a front has a column for it."""
        name = self.given()["name"].rpartition(":")[2]
        names = [objective.name for objective in self.problem().objectives]
        require(name in names, f"objective: expected an objective called {name!r}", names)


class RecoveryConformance(MethodConformance):
    """Checks of a recovery; `shared` are options that the problem's `recover` takes for all of them."""

    shared: ClassVar[Mapping[str, Any]] = {}

    def test_it_writes_and_measures_the_same_from_the_same_seed(self) -> None:
        """A recovered thing is a result, and a result can be had again."""
        found = []
        for _ in range(2):
            with _prepared(self.sample()) as problem, tempfile.TemporaryDirectory() as folder:
                problem.setup("cpu", 1)
                genome = problem.references()[-1].genome
                recover = getattr(problem, "recover")  # noqa: B009  # an offer, of no problem in particular
                answer = recover(genome, Path(folder), SEED, method=self.given(), **self.shared)
                require(isinstance(answer, Recovered), "recovery: expected Recovered", type(answer).__name__)
                require(any(Path(folder).iterdir()), "recovery: expected files in the folder", "none")
                found.append({split: dict(values) for split, values in answer.values.items()})
        require(Split.TEST.value in found[0], "recovery: expected values on test", list(found[0]))
        require(found[0] == found[1], f"recovery: expected {found[0]} again from the same seed", found[1])


class AuditConformance(MethodConformance):
    """Checks of an audit; `shared` are options that the problem's `audit` takes for all of them."""

    shared: ClassVar[Mapping[str, Any]] = {}

    def test_it_finds_the_same_from_the_same_seed(self) -> None:
        """Along a front that is the problem's references."""
        found = []
        for _ in range(2):
            with _prepared(self.sample()) as problem, tempfile.TemporaryDirectory() as folder:
                problem.setup("cpu", 1)
                genomes = [reference.genome for reference in problem.references()[1:]]
                candidates = [
                    Candidate(number, genome, 0, "reference") for number, genome in enumerate(genomes, start=1)
                ]
                audit = getattr(problem, "audit")  # noqa: B009  # an offer, of no problem in particular
                answer = audit(candidates, Path(folder), SEED, method=self.given(), **self.shared)
                require(isinstance(answer, Audit), "audit: expected an Audit", type(answer).__name__)
                found.append([(each.name, each.value, each.low, each.high) for each in answer.findings])
        require(found[0] == found[1], f"audit: expected {found[0]} again from the same seed", found[1])


class MaskConformance(MethodConformance):
    """Checks of a mask that is trained with the weights."""

    def test_it_keeps_the_promises_of_its_kind(self) -> None:
        """As the problem checks it: from 0 to 1, with gradients, exactly so many at last, the same from one seed."""
        served = self.served()
        check = plugins.find("check", self.kind, served)
        check(lambda: plugins.method(self.kind, self.given(), served))


class ArchitectureConformance(MethodConformance):
    """Checks of a description of models."""

    def test_its_small_model_is_pruned_exactly_as_described(self) -> None:
        """Pruned heads and neurons are those that were masked, counted, and could be loaded again."""
        served = self.served()
        check = plugins.find("check", self.kind, served)
        check(lambda: plugins.method(self.kind, self.given(), served))


_CLASSES: Mapping[str, type[MethodConformance]] = {
    "criterion": CriterionConformance,
    "saliency": KeptConformance,
    "compensation": KeptConformance,
    "reference": ReferenceConformance,
    "objective": ObjectiveConformance,
    "recovery": RecoveryConformance,
    "mask": MaskConformance,
    "audit": AuditConformance,
    "architecture": ArchitectureConformance,
}


def conformance(
    kind: str, method: Callable[..., Any] | str, serves: str | None = None, **members: Any
) -> type[MethodConformance]:
    """Return the test class of a method.

    Args:
        kind: One of `emoprune.plugins.METHOD_KINDS`.
        method: Its class or function, or the name of an installed one.
        serves: The problem on whose sample it is tried; the first that it serves unless said.
        members: More attributes of the class, such as `options`.

    Raises:
        ContractError: There is no such kind.
    """
    known = ", ".join(plugins.METHOD_KINDS)
    require(kind in plugins.METHOD_KINDS, f"conformance: expected a kind of method, of {known}", repr(kind))
    members = {"kind": kind, "method": method, **members}
    if serves is not None:
        members["serves"] = serves
    return type("Conformance", (_CLASSES.get(kind, PartConformance),), members)


@contextmanager
def _prepared(problem: Problem, seed: int = SEED) -> Iterator[Problem]:
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(problem, Prepared):
            problem.prepare(Path(folder), seed)
        yield problem
