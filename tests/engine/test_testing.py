"""The conformance checks, both ways: honest plug-ins pass all of them, each broken promise fails its own check."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from problems_for_tests import Knapsack12, SurveyingKnapsack12
from strategies import generators, spaces

from emoprune.contracts import (
    Constraint,
    Crossover,
    Description,
    Failure,
    Mutation,
    Objective,
    Passage,
    Picture,
    Problem,
    Reference,
    Repair,
    Rows,
    Sampling,
    SeedArray,
    Seeding,
    Split,
)
from emoprune.errors import ContractError
from emoprune.records import FloatArray
from emoprune.space import IntArray, Space
from emoprune.testing import (
    CrossoverConformance,
    MutationConformance,
    OperatorConformance,
    ProblemConformance,
    RepairConformance,
    SamplingConformance,
    SeedingConformance,
    legal_genomes,
    sample_spaces,
)


class TestKnapsack(ProblemConformance):
    def problem(self) -> Problem:
        return Knapsack12()


class TestNoisyKnapsack(ProblemConformance):
    def problem(self) -> Problem:
        return Knapsack12(bits=20, noise=0.1)


class Elaborate(Knapsack12):
    """Uses everything a problem may have: preparation, constraints, a canonical form, a fingerprint, failures."""

    constraints = (Constraint("weight-limit", bound=150.0, unit="g"),)

    def prepare(self, folder: Path, seed: int) -> None:
        path = folder / "bonus.npy"
        if not path.exists():
            np.save(path, np.random.default_rng(seed).random(len(self.space)))
        self._bonus: FloatArray = np.load(path)

    def evaluate(self, genomes: IntArray, seeds: SeedArray, split: Split) -> Rows:  # type: ignore[override]  # rows and failures
        plain = super().evaluate(genomes, seeds, split)
        plain[:, 0] -= (genomes * self._bonus).sum(axis=1)
        rows = np.column_stack([plain, plain[:, 1]])
        return [row if genome.any() else Failure("empty") for row, genome in zip(rows, genomes, strict=True)]

    def canonical(self, genomes: IntArray) -> IntArray:
        """Without the first item the second one cannot be reached."""
        reachable = genomes.copy()
        reachable[:, 1] &= genomes[:, 0]
        return reachable

    def references(self) -> Sequence[Reference]:
        return [Reference(known.name, self.canonical(known.genome[None])[0]) for known in super().references()]

    def fingerprint(self) -> str:
        return self._bonus.tobytes().hex()

    def marked(self, genome: IntArray) -> Sequence[Passage]:
        return [Passage(name, bool(level)) for name, level in zip(self.space.names, genome, strict=True)]


class TestElaborateKnapsack(ProblemConformance):
    genomes = 12

    def problem(self) -> Problem:
        return Elaborate()


class Measuring(Knapsack12):
    """A knapsack whose rows a derived class spoils."""

    def evaluate(self, genomes: IntArray, seeds: SeedArray, split: Split) -> FloatArray:
        return self.spoilt(super().evaluate(genomes, seeds, split), genomes)

    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return rows


class RandomRows(Measuring):
    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return rows + np.random.default_rng().random(rows.shape)


class WideRows(Measuring):
    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return np.column_stack([rows, rows])


class TooFewRows(Measuring):
    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return rows[:-1]


class InfiniteRows(Measuring):
    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return np.where(genomes[:, :1] == 1, rows, np.inf)


class BatchDependentRows(Measuring):
    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return np.asarray(rows - rows.mean(axis=0))


class OrderDependentRows(Measuring):
    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return rows + np.arange(len(rows))[:, None] * (len(rows) > 1)


class InstanceDependentRows(Measuring):
    instances = itertools.count()

    def setup(self, device: str, threads: int) -> None:
        super().setup(device, threads)
        self._number = next(self.instances)

    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return rows + self._number


class OverwritesGenomes(Measuring):
    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        genomes[:] = 0
        return rows


class Raising(Measuring):
    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        if not genomes[:, 0].all():
            raise ZeroDivisionError("the first item is missing")
        return rows


class FailingOnSelect(Knapsack12):
    def evaluate(self, genomes: IntArray, seeds: SeedArray, split: Split) -> Rows:  # type: ignore[override]  # rows and failures
        return super().evaluate(genomes, seeds, split) if split is Split.SEARCH else [Failure("no data")] * len(genomes)


class OnlyForSearch(Knapsack12):
    def evaluate(self, genomes: IntArray, seeds: SeedArray, split: Split) -> FloatArray:
        if split is not Split.SEARCH:
            raise KeyError(split)
        return super().evaluate(genomes, seeds, split)


class IllegalReference(Knapsack12):
    def references(self) -> Sequence[Reference]:
        return (*super().references(), Reference("twice", 2 * self.space.full))


class NoReferences(Knapsack12):
    def references(self) -> Sequence[Reference]:
        return ()


class NamesakeReferences(Knapsack12):
    def references(self) -> Sequence[Reference]:
        return (*super().references(), *super().references())


class NamesakeObjectives(Knapsack12):
    def __init__(self) -> None:
        super().__init__()
        self.objectives = (Objective("loss"), Objective("loss"))


class WithoutExport(Knapsack12):
    def __getattribute__(self, name: str) -> object:
        if name == "export":
            raise AttributeError(name)
        return super().__getattribute__(name)


class ReadyOnlyAfterSetup(Knapsack12):
    def setup(self, device: str, threads: int) -> None:
        super().setup(device, threads)
        self._loaded = True

    def describe(self, genome: IntArray) -> Description:
        return {**super().describe(genome), "loaded": getattr(self, "_loaded", "not yet")}


class NumpyDescription(Knapsack12):
    def describe(self, genome: IntArray) -> Description:
        return {"items": genome.sum()}


class EmptyExport(Knapsack12):
    def export(self, genome: IntArray, folder: Path) -> Description:
        return {"items": int(genome.sum())}


class ExportThatPrunesTheProblem(Measuring):
    _penalty = 0.0

    def export(self, genome: IntArray, folder: Path) -> Description:
        self._penalty += 1.0
        return super().export(genome, folder)

    def spoilt(self, rows: FloatArray, genomes: IntArray) -> FloatArray:
        return rows + self._penalty


class Unpicklable(Knapsack12):
    def __init__(self) -> None:
        super().__init__()
        self.double = lambda value: 2 * value


class CanonicalThatGoesOn(Knapsack12):
    def canonical(self, genomes: IntArray) -> IntArray:
        """Move everything by one place."""
        return np.roll(genomes, 1, axis=1)


class CanonicalThatIsIllegal(Knapsack12):
    def canonical(self, genomes: IntArray) -> IntArray:
        """Leave the range."""
        return np.maximum(genomes, 7)


class ReferencesThatAreNotCanonical(Elaborate):
    def references(self) -> Sequence[Reference]:
        return Knapsack12.references(self)


class FingerprintOfAnInstance(Knapsack12):
    def fingerprint(self) -> str:
        return str(id(self))


class IllegalStarts(SurveyingKnapsack12):
    def starts(self) -> IntArray:
        return 2 * super().starts()


class SurveyedByChance(SurveyingKnapsack12):
    def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
        return super().surveyed(genomes, np.random.default_rng().random(values.shape))


class SurveyedNamesake(SurveyingKnapsack12):
    def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
        return [Reference("uniform", self.space.full)]


class SurveyedIllegal(SurveyingKnapsack12):
    def surveyed(self, genomes: IntArray, values: FloatArray) -> Sequence[Reference]:
        return [Reference("twice", 2 * self.space.full)]


class MarkedWithWords(Knapsack12):
    def marked(self, genome: IntArray) -> Sequence[str]:
        return list(self.space.names)


class MarkedOnlyAfterSetup(Knapsack12):
    def setup(self, device: str, threads: int) -> None:
        super().setup(device, threads)
        self._loaded = True

    def marked(self, genome: IntArray) -> Sequence[Passage]:
        return [Passage("loaded" if hasattr(self, "_loaded") else "not yet")]


class PictureOnlyAfterSetup(Knapsack12):
    def setup(self, device: str, threads: int) -> None:
        super().setup(device, threads)
        self._loaded = True

    def picture(self, genome: IntArray) -> Picture:
        return Picture("loaded" if hasattr(self, "_loaded") else "not yet", "<svg />")


ALONE = "test_a_row_is_the_same_alone"
BATCH = "test_a_row_is_the_same_in_another_batch"
ORDER = "test_a_row_is_the_same_in_another_order"
PICKLED = "test_a_row_is_the_same_after_pickling"
INSTANCE = "test_a_row_is_the_same_from_another_instance"
ROWS = "test_every_legal_genome_gets_a_row_on_every_split"
ARGUMENTS = "test_evaluate_leaves_its_arguments_as_they_were"
EXPORT = "test_an_export_writes_files_and_leaves_the_problem_as_it_was"
MEMBERS = "test_every_member_is_there_and_of_the_right_type"
UNREADY = "test_space_objectives_references_and_descriptions_need_no_setup"
REFERENCES = "test_references_are_there_legal_and_named_differently"
DESCRIPTIONS = "test_descriptions_are_plain"
MARKED = "test_marked_texts_are_passages_and_need_no_setup"
PICTURES = "test_pictures_are_drawings_and_need_no_setup"
CANONICAL = "test_the_canonical_form_is_legal_and_final"
FINGERPRINT = "test_the_fingerprint_is_the_same_from_another_instance"
SURVEY = "test_what_it_adds_to_generation_0_is_legal_and_the_same_every_time"
SAME_ROW = (ALONE, BATCH, ORDER, PICKLED, INSTANCE)

# A broken problem, what the first of the checks it fails says, and all checks it fails.
BROKEN: tuple[tuple[Callable[[], Problem], str, tuple[str, ...]], ...] = (
    (RandomRows, "expected the same row alone", (*SAME_ROW, EXPORT)),
    (WideRows, "expected 2 values per row", (ROWS, *SAME_ROW, EXPORT)),
    (TooFewRows, "evaluate on search: expected [0-9]+ rows", (ROWS, *SAME_ROW, EXPORT)),
    (InfiniteRows, "expected finite numbers, or a Failure with the reason", (ROWS, *SAME_ROW, EXPORT)),
    (Raising, "expected a Failure where a genome fails; found ZeroDivision", (ROWS, *SAME_ROW, EXPORT, ARGUMENTS)),
    (OnlyForSearch, "evaluate on select: expected a Failure where a genome fails; found KeyError", (ROWS,)),
    (FailingOnSelect, "evaluate on select: expected a row that is no failure", (ROWS,)),
    (BatchDependentRows, "expected the same row alone", (ALONE, BATCH)),
    (OrderDependentRows, "expected the same row in another order", (ORDER, BATCH, ALONE)),
    (InstanceDependentRows, "expected the same row from another instance", (INSTANCE, PICKLED)),
    (Unpicklable, "expected one that pickles before setup", (PICKLED,)),
    (OverwritesGenomes, "genomes and seeds left alone; found them changed: work on a copy", (ARGUMENTS,)),
    (IllegalReference, "reference 'twice': 1 of 1 genomes are illegal", (REFERENCES,)),
    (NamesakeReferences, "references: expected different names", (REFERENCES,)),
    (NamesakeObjectives, "objectives and constraints: expected different names", (MEMBERS,)),
    (WithoutExport, r"found none called \['export'\]", (MEMBERS, EXPORT)),
    (ReadyOnlyAfterSetup, "describe: expected .*'loaded': 'not yet'.* after setup too", (UNREADY,)),
    (NumpyDescription, "describe: expected only text, int and finite float", (DESCRIPTIONS,)),
    (EmptyExport, "export: expected the pruned thing in files of the given folder; found none", (EXPORT,)),
    (ExportThatPrunesTheProblem, "expected the same rows after an export", (EXPORT,)),
    (MarkedWithWords, "marked: expected only Passage", (MARKED,)),
    (MarkedOnlyAfterSetup, "marked: expected the same passages after setup", (MARKED,)),
    (PictureOnlyAfterSetup, "picture: expected the same after setup", (PICTURES,)),
    (CanonicalThatGoesOn, "expected a canonical form to stay", (CANONICAL,)),
    (ReferencesThatAreNotCanonical, "references: expected canonical forms", (CANONICAL,)),
    (IllegalStarts, "starts: 12 of 12 genomes are illegal", (SURVEY,)),
    (SurveyedByChance, "surveyed: expected .* every time", (SURVEY,)),
    (SurveyedNamesake, "surveyed: expected names that no reference has; found uniform", (SURVEY,)),
    (SurveyedIllegal, "surveyed 'twice': 1 of 1 genomes are illegal", (SURVEY,)),
    (FingerprintOfAnInstance, "fingerprint: expected the same from another instance", (FINGERPRINT,)),
)


def broken_promises(case: ProblemConformance | OperatorConformance[Repair]) -> dict[str, Exception]:
    """Run every check as pytest would, and return what each failed one raised."""
    raised: dict[str, Exception] = {}
    for name in [name for name in dir(case) if name.startswith("test_")]:
        try:
            getattr(case, name)()
        except Exception as error:  # whatever a broken plug-in leads to is what is looked at
            raised[name] = error
    return raised


def conformance_of(make: Callable[[], Problem]) -> ProblemConformance:
    """Return the checks of one problem, in a class of their own."""

    class Case(ProblemConformance):
        def problem(self) -> Problem:
            return make()

    return Case()


@pytest.mark.parametrize(("make", "complaint", "checks"), BROKEN)
def test_a_broken_promise_fails_its_own_checks_and_no_others(
    make: Callable[[], Problem], complaint: str, checks: tuple[str, ...]
) -> None:
    case = conformance_of(make)
    found = broken_promises(case)
    type(case).teardown_class()
    assert set(found) == set(checks)
    with pytest.raises(ContractError, match=complaint):
        raise found[checks[0]]


@pytest.mark.parametrize(
    ("make", "check", "complaint"),
    [
        (NoReferences, REFERENCES, "expected at least the unpruned"),
        (CanonicalThatIsIllegal, CANONICAL, "canonical: .* genomes are illegal"),
    ],
)
def test_what_every_check_stumbles_over_is_told_clearly_by_its_own(
    make: Callable[[], Problem], check: str, complaint: str
) -> None:
    with pytest.raises(ContractError, match=complaint):
        getattr(conformance_of(make), check)()


def test_a_case_without_a_problem_says_what_to_override() -> None:
    with pytest.raises(NotImplementedError, match="override problem"):
        ProblemConformance().test_descriptions_are_plain()


def test_a_prepared_problem_leaves_no_folder_behind() -> None:
    folders: list[Path] = []

    class Watched(Elaborate):
        def prepare(self, folder: Path, seed: int) -> None:
            folders.append(folder)
            super().prepare(folder, seed)

    case = conformance_of(Watched)
    case.test_a_row_is_the_same_from_another_instance()
    assert len(set(folders)) == 1
    assert folders[0].is_dir()
    type(case).teardown_class()
    assert not folders[0].exists()


def sampled(space: Space, count: int, rng: np.random.Generator) -> IntArray:
    return rng.integers(0, space.levels, (count, len(space)))


def kept(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    return genomes.copy()


def aliased(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    return genomes


def emptied(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    return np.zeros_like(genomes)


def overflowing(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    return genomes + 1


def fractional(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    return genomes * 1.0  # type: ignore[return-value]  # what is wrong with it


def shortened(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    return genomes[:-1].copy()


def overwriting(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    changed = genomes.copy()
    genomes[...] = 0
    return changed


def unseeded(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    drawn = np.random.default_rng().integers(0, space.levels, genomes.shape)
    return np.where(space.free, drawn, genomes)


def restless(space: Space, genomes: IntArray, rng: np.random.Generator) -> IntArray:
    return np.where(space.free, rng.integers(0, space.levels, genomes.shape), genomes)


def mutation_case(operator: Mutation) -> MutationConformance:
    class Case(MutationConformance):
        def operator(self) -> Mutation:
            return operator

    return Case()


def repair_case(operator: Repair) -> RepairConformance:
    class Case(RepairConformance):
        makes_legal = True

        def operator(self) -> Repair:
            return operator

    return Case()


class TestASamplingThatKeepsTheRules(SamplingConformance):
    def operator(self) -> Sampling:
        return sampled


class TestASeedingThatKeepsTheRules(SeedingConformance):
    def operator(self) -> Seeding:
        return lambda space, seeds, sampled, rng: sampled.copy()


class TestACrossoverThatKeepsTheRules(CrossoverConformance):
    def operator(self) -> Crossover:
        return lambda space, parents, rng: parents[::-1].copy()


class TestAMutationThatKeepsTheRules(MutationConformance):
    def operator(self) -> Mutation:
        return restless


@pytest.mark.parametrize(
    ("operator", "check", "complaint"),
    [
        (aliased, "test_arguments_stay_as_they_were", "expected its arguments left alone"),
        (overwriting, "test_arguments_stay_as_they_were", "expected its arguments left alone"),
        (
            emptied,
            "test_locked_genes_stay_at_their_lock",
            r"expected locked genes at their lock; found others at \[3\]",
        ),
        (overflowing, "test_every_level_is_in_range", "expected levels in range"),
        (
            fractional,
            "test_results_are_whole_numbers_of_the_promised_shape",
            "expected an integer array; found float64",
        ),
        (
            shortened,
            "test_results_are_whole_numbers_of_the_promised_shape",
            r"expected shape \(1, 12\); found \(0, 12\)",
        ),
        (
            unseeded,
            "test_the_same_generator_state_gives_the_same_result",
            "expected equal results from equal generators",
        ),
    ],
)
def test_a_mutation_that_breaks_a_rule_fails_its_check(operator: Mutation, check: str, complaint: str) -> None:
    found = broken_promises(mutation_case(operator))
    assert check in found
    with pytest.raises(ContractError, match=complaint):
        raise found[check]


@pytest.mark.parametrize(
    ("operator", "check", "complaint"),
    [
        (
            kept,
            "test_legal_genomes_stay_legal_and_others_become_so_where_promised",
            "repair of any genomes: .* illegal",
        ),
        (emptied, "test_legal_genomes_stay_legal_and_others_become_so_where_promised", "repair of legal genomes"),
        (restless, "test_repairing_twice_changes_nothing_more", "expected its own result to stay"),
    ],
)
def test_a_repair_that_breaks_a_rule_fails_its_check(operator: Repair, check: str, complaint: str) -> None:
    found = broken_promises(repair_case(operator))
    assert check in found
    with pytest.raises(ContractError, match=complaint):
        raise found[check]


def test_a_case_without_a_kind_says_what_to_derive_from() -> None:
    case: OperatorConformance[Repair] = OperatorConformance()
    with pytest.raises(NotImplementedError, match="derive from the class of the operator's kind"):
        case.test_every_level_is_in_range()


@given(spaces(), generators)
def test_legal_genomes_are_legal_whatever_the_space(space: Space, rng: np.random.Generator) -> None:
    assert space.legal(legal_genomes(space, 20, rng)).all()


def test_legal_genomes_come_in_all_sizes() -> None:
    share = legal_genomes(Space.bits(100), 200, np.random.default_rng(1)).mean(axis=1)
    assert share.min() < 0.2
    assert share.max() > 0.8


def test_sample_spaces_have_all_that_operators_stumble_over() -> None:
    found = sample_spaces()
    assert len({gene.kind for space in found for gene in space.genes}) == 3
    assert any(gene.locked is not None for space in found for gene in space.genes)
    assert any(group.interchangeable for space in found for group in space.groups)
    assert any(len(space) == 1 for space in found)
    assert any(not space.free.any() for space in found)
