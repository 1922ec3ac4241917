"""What every problem promises, as checks."""

from __future__ import annotations

import math
import numbers
import pickle
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from emoprune.contracts import (
    Canonical,
    Constraint,
    Failure,
    Fingerprinted,
    FloatArray,
    Marked,
    Objective,
    Passage,
    Prepared,
    Problem,
    Reference,
    Row,
    SeedArray,
    Split,
    constraints_of,
)
from emoprune.contracts.surveys import Starting, Surveying
from emoprune.errors import ContractError
from emoprune.space import IntArray, Space
from emoprune.testing.promises import require, require_all, require_plain
from emoprune.testing.samples import legal_genomes

__all__ = ["ProblemConformance", "generation_0"]

MEMBERS = ("space", "objectives", "setup", "evaluate", "references", "describe", "export")

Measured = tuple[float, ...] | Failure


class ProblemConformance:
    """Checks of a problem: override `problem`, and the attributes where they do not fit.

    One set-up problem serves all checks of a class; a few make a second one.

    Attributes:
        genomes: How many random legal genomes are measured, beside the references.
        device: What `setup` is told to compute on.
        threads: How many threads `setup` is told to use.
    """

    genomes: ClassVar[int] = 6
    device: ClassVar[str] = "cpu"
    threads: ClassVar[int] = 1
    _folder: ClassVar[tempfile.TemporaryDirectory[str] | None] = None
    _shared: ClassVar[Problem | None] = None

    def problem(self) -> Problem:
        """Return a new problem on which nothing has been called yet."""
        raise NotImplementedError("override problem(self) -> Problem: return a new problem, not yet set up")

    @classmethod
    def teardown_class(cls) -> None:
        """Let go of the shared problem, and remove the folder it was prepared in; pytest calls this."""
        if cls._folder is not None:
            cls._folder.cleanup()
        cls._folder = cls._shared = None

    def test_every_member_is_there_and_of_the_right_type(self) -> None:
        """The engine needs all of them, and names that tell columns apart."""
        problem = self._prepared()
        missing = [name for name in MEMBERS if not hasattr(problem, name)]
        require(not missing, f"problem: expected the members {', '.join(MEMBERS)}", f"none called {missing}")
        require(isinstance(problem.space, Space), "space: expected a Space", repr(problem.space))
        require(len(problem.objectives) > 0, "objectives: expected at least one", "none")
        require_all(problem.objectives, Objective, "objectives")
        require_all(constraints_of(problem), Constraint, "constraints")
        names = _names(problem)
        require(len(set(names)) == len(names), "objectives and constraints: expected different names", names)

    def test_space_objectives_references_and_descriptions_need_no_setup(self) -> None:
        """The driver reads them without ever loading the model."""
        before, after = self._prepared(), self._ready()
        genomes = [_reference_genomes(problem) for problem in (before, after)]
        require(before.space.genes == after.space.genes, "space: expected the same after setup", "other genes")
        require(_names(before) == _names(after), "objectives: expected the same after setup", _names(after))
        require(
            np.array_equal(genomes[0], genomes[1]),
            "references: expected the same genomes after setup",
            genomes[1].tolist(),
        )
        said = [dict(problem.describe(genomes[0][0])) for problem in (before, after)]
        require(said[0] == said[1], f"describe: expected {said[0]} after setup too", said[1])

    def test_references_are_there_legal_and_named_differently(self) -> None:
        """They are generation 0 and the baseline of every table."""
        problem = self._prepared()
        references = problem.references()
        require(len(references) > 0, "references: expected at least the unpruned genome", "none")
        require_all(references, Reference, "references")
        names = [reference.name for reference in references]
        require(len(set(names)) == len(names), "references: expected different names", names)
        for reference in references:
            shape, source = (len(problem.space),), f"reference {reference.name!r}"
            found = np.shape(reference.genome)
            require(found == shape, f"{source}: expected a genome of shape {shape}", found)
            problem.space.check(reference.genome, source)

    def test_what_it_adds_to_generation_0_is_legal_and_the_same_every_time(self) -> None:
        """A resume must find the same genomes under the same names, whether or not all of them could be measured."""
        one, other = self._prepared(), self._prepared()
        starts = [problem.starts() for problem in (one, other) if isinstance(problem, Starting)]
        if starts:
            one.space.check(starts[0], "starts")
            require(np.array_equal(starts[0], starts[1]), "starts: expected the same every time", starts[1])
        genomes = generation_0(one)
        values = np.random.default_rng(3).random((len(genomes), len(_names(one))))
        values[-1] = np.nan
        self._picked(genomes, values)

    def test_every_legal_genome_gets_a_row_on_every_split(self) -> None:
        """A row is finite and of full width, or a Failure; nothing is raised, and not everything fails."""
        problem = self._ready()
        genomes, seeds = self._batch(problem)
        for split in Split:
            rows = _measured(problem, genomes, seeds, split)
            failed = [row.reason for row in rows if isinstance(row, Failure)]
            require(len(failed) < len(rows), f"evaluate on {split}: expected a row that is no failure", failed)

    def test_evaluate_leaves_its_arguments_as_they_were(self) -> None:
        """The engine still needs them."""
        problem = self._ready()
        genomes, seeds = self._batch(problem)
        given = genomes.copy(), seeds.copy()
        problem.evaluate(*given, Split.SEARCH)
        same = np.array_equal(given[0], genomes) and np.array_equal(given[1], seeds)
        require(same, "evaluate: expected genomes and seeds left alone", "them changed: work on a copy")

    def test_a_row_is_the_same_alone(self) -> None:
        """A batch of one is what remains when another genome of the batch raised."""
        places = self._places()
        self._require_same_rows("alone", list(places[:, None]), self._ready())

    def test_a_row_is_the_same_in_another_batch(self) -> None:
        """How a generation is cut up depends on the number of workers."""
        places = self._places()
        self._require_same_rows("in another batch", [places[::2], places[1::2]], self._ready())

    def test_a_row_is_the_same_in_another_order(self) -> None:
        """Order carries no meaning."""
        self._require_same_rows("in another order", [self._places()[::-1]], self._ready())

    def test_a_row_is_the_same_after_pickling(self) -> None:
        """Workers get copies of a problem that is not yet set up."""
        original = self._prepared()
        try:
            copy: Problem = pickle.loads(pickle.dumps(original))  # noqa: S301  # only what was just dumped is loaded
        except Exception as error:
            raise ContractError(f"problem: expected one that pickles before setup; found {error!r}") from error
        self._require_same_rows("after pickling", [self._places()], self._set_up(copy))

    def test_a_row_is_the_same_from_another_instance(self) -> None:
        """A resumed run makes the problem anew, and finds what it once prepared."""
        self._require_same_rows("from another instance", [self._places()], self._set_up(self._prepared()))

    def test_descriptions_are_plain(self) -> None:
        """They go into JSON, CSV and HTML."""
        problem = self._prepared()
        for genome in self._batch(problem)[0]:
            require_plain(problem.describe(genome), "describe")

    def test_marked_texts_are_passages_and_need_no_setup(self) -> None:
        """They are written down for every member of the front, and shown to a person."""
        before, after = self._prepared(), self._ready()
        if not (isinstance(before, Marked) and isinstance(after, Marked)):
            return
        for genome in self._batch(before)[0]:
            passages = before.marked(genome)
            require_all(passages, Passage, "marked")
            same = list(after.marked(genome)) == list(passages)
            require(same, "marked: expected the same passages after setup", "others")

    def test_the_canonical_form_is_legal_and_final(self) -> None:
        """Without this one pruned thing would be paid for under several keys."""
        problem = self._prepared()
        if not isinstance(problem, Canonical):
            return
        once = problem.space.check(problem.canonical(self._genomes(problem)), "canonical")
        twice = problem.canonical(once)
        require(np.array_equal(twice, once), "canonical: expected a canonical form to stay", "it changed")
        references = _reference_genomes(problem)
        final = np.array_equal(problem.canonical(references), references)
        require(final, "references: expected canonical forms", "others: return canonical(genomes)")

    def test_the_fingerprint_is_the_same_from_another_instance(self) -> None:
        """It differs only where model or data do."""
        first, second = self._ready(), self._set_up(self._prepared())
        if isinstance(first, Fingerprinted) and isinstance(second, Fingerprinted):
            found = first.fingerprint(), second.fingerprint()
            require(found[0] == found[1], "fingerprint: expected the same from another instance", found)

    def test_an_export_writes_files_and_leaves_the_problem_as_it_was(self) -> None:
        """What a search is for, of the first and of the last genome that can be measured."""
        problem = self._ready()
        genomes, seeds = self._batch(problem)
        before = _measured(problem, genomes, seeds, Split.SEARCH)
        good = [place for place, row in enumerate(before) if not isinstance(row, Failure)]
        for place in sorted({good[0], good[-1]}):
            with tempfile.TemporaryDirectory() as folder:
                require_plain(problem.export(genomes[place], Path(folder)), "export")
                written = [path for path in Path(folder).rglob("*") if path.is_file() and path.stat().st_size]
            require(bool(written), "export: expected the pruned thing in files of the given folder", "none")
        after = _measured(problem, genomes, seeds, Split.SEARCH)
        require(after == before, f"evaluate: expected the same rows after an export, {before}", after)

    def _picked(self, genomes: IntArray, values: FloatArray) -> list[tuple[str, list[int]]]:
        """Return what two instances pick alike of what was measured, NaN where nothing was; nothing from most problems.

        Args:
            genomes: Shape (n, genes).
            values: Of objectives and constraints, shape (n, objectives + constraints).
        """
        one, other = self._prepared(), self._prepared()
        picked, again = (_surveyed(problem, genomes, values) for problem in (one, other))
        require(picked == again, f"surveyed: expected {picked} every time", again)
        taken = {reference.name for reference in one.references()}
        for name, genome in picked:
            require(name not in taken, "surveyed: expected names that no reference has", name)
            taken.add(name)
            one.space.check(np.array(genome), f"surveyed {name!r}")
        return picked

    def _values(self, genomes: IntArray) -> FloatArray:
        """Return what is measured of genomes on the search split, NaN where nothing is."""
        problem = self._ready()
        rows = _measured(problem, genomes, np.arange(len(genomes), dtype=np.uint64), Split.SEARCH)
        nothing = (np.nan,) * len(_names(problem))
        return np.array([nothing if isinstance(row, Failure) else row for row in rows], dtype=np.float64)

    def _prepared(self) -> Problem:
        """Return a new problem, prepared in a folder that all checks of this class share."""
        problem, cls = self.problem(), type(self)
        if isinstance(problem, Prepared):
            if cls._folder is None:
                cls._folder = tempfile.TemporaryDirectory()
            problem.prepare(Path(cls._folder.name), 1)
        return problem

    def _set_up(self, problem: Problem) -> Problem:
        problem.setup(self.device, self.threads)
        return problem

    def _ready(self) -> Problem:
        """Return the problem that is set up once for all checks of this class."""
        cls = type(self)
        if cls._shared is None:
            cls._shared = self._set_up(self._prepared())
        return cls._shared

    def _genomes(self, problem: Problem) -> IntArray:
        """Return the legal references and random legal genomes, not yet in canonical form."""
        references = _reference_genomes(problem)
        drawn = legal_genomes(problem.space, self.genomes, np.random.default_rng(1))
        return np.concatenate([references[problem.space.legal(references)], drawn])

    def _batch(self, problem: Problem) -> tuple[IntArray, SeedArray]:
        """Return genomes as the engine would give them, and seeds up to the largest it would give."""
        genomes = self._genomes(problem)
        seeds = np.random.default_rng(2).integers(0, 2**64 - 1, len(genomes), dtype=np.uint64, endpoint=True)
        seeds[0] = 2**64 - 1
        return (problem.canonical(genomes) if isinstance(problem, Canonical) else genomes), seeds

    def _places(self) -> IntArray:
        """Return 0, 1, 2, ... for the genomes of the batch."""
        return np.arange(len(self._batch(self._ready())[0]))

    def _require_same_rows(self, how: str, pieces: Sequence[IntArray], problem: Problem) -> None:
        """Let `problem` measure the batch in pieces, given as places in it, and compare with the batch in one go."""
        genomes, seeds = self._batch(self._ready())
        whole = _measured(self._ready(), genomes, seeds, Split.SEARCH)
        for piece in pieces:
            rows = _measured(problem, genomes[piece], seeds[piece], Split.SEARCH)
            for place, row in zip(piece.tolist(), rows, strict=True):
                expected = f"evaluate: expected the same row {how} as in the whole batch, {whole[place]}"
                require(row == whole[place], expected, f"{row} for the genome {genomes[place].tolist()}")


def _names(problem: Problem) -> list[str]:
    return [objective.name for objective in problem.objectives] + [bound.name for bound in constraints_of(problem)]


def _reference_genomes(problem: Problem) -> IntArray:
    return np.stack([reference.genome for reference in problem.references()])


def generation_0(problem: Problem) -> IntArray:
    """Return what generation 0 holds beside samples: the references and what has to be measured for more of them."""
    starts = [problem.starts()] if isinstance(problem, Starting) else []
    return np.concatenate([_reference_genomes(problem), *starts])


def _surveyed(problem: Problem, genomes: IntArray, values: FloatArray) -> list[tuple[str, list[int]]]:
    if not isinstance(problem, Surveying):
        return []
    try:
        found = problem.surveyed(genomes.copy(), values.copy())
    except Exception as error:
        raise ContractError(
            f"surveyed: expected references, or none where nothing was measured; found {error!r}"
        ) from error
    require_all(found, Reference, "surveyed")
    return [(reference.name, reference.genome.tolist()) for reference in found]


def _measured(problem: Problem, genomes: IntArray, seeds: SeedArray, split: Split) -> list[Measured]:
    """Evaluate a batch and insist on a proper row for each genome."""
    try:
        rows = problem.evaluate(genomes.copy(), seeds.copy(), split)
    except Exception as error:
        raise ContractError(f"evaluate on {split}: expected a Failure where a genome fails; found {error!r}") from error
    require(len(rows) == len(genomes), f"evaluate on {split}: expected {len(genomes)} rows", len(rows))
    width = len(_names(problem))
    return [_checked(row, width) for row in rows]


def _checked(row: Row, width: int) -> Measured:
    if isinstance(row, Failure):
        return row
    require(len(row) == width, f"evaluate: expected {width} values per row, objectives then constraints", row)
    plain = all(isinstance(value, numbers.Real) and math.isfinite(value) for value in row)
    require(plain, "evaluate: expected finite numbers, or a Failure with the reason", row)
    return tuple(float(value) for value in row)
