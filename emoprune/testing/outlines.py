"""What every problem promises of its space, its objectives and its references, as checks."""

from __future__ import annotations

import tempfile
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
    Picture,
    Pictured,
    Prepared,
    Problem,
    Reference,
    SeedArray,
    Split,
    own_constraints_of,
)
from emoprune.contracts.surveys import Starting, Surveying
from emoprune.errors import ContractError
from emoprune.space import IntArray, Space
from emoprune.testing.promises import require, require_all, require_plain
from emoprune.testing.rows import column_names, measured
from emoprune.testing.samples import legal_genomes

__all__ = ["PREPARED_BY", "OutlineConformance", "generation_0"]

PREPARED_BY = 1  # the seed that problems are prepared with

MEMBERS = ("space", "objectives", "setup", "evaluate", "references", "describe", "export")


class OutlineConformance:
    """Checks of what a problem says of itself: nothing is measured, except for references that are picked by that.

    One set-up problem serves all checks of a class; a few make a second one.

    Attributes:
        genomes: How many random legal genomes are looked at, beside the references.
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
        require_all(own_constraints_of(problem), Constraint, "constraints")
        names = column_names(problem)
        require(len(set(names)) == len(names), "objectives and constraints: expected different names", names)

    def test_space_objectives_references_and_descriptions_need_no_setup(self) -> None:
        """The driver reads them without ever loading the model."""
        before, after = self._prepared(), self._ready()
        genomes = [_reference_genomes(problem) for problem in (before, after)]
        require(before.space.genes == after.space.genes, "space: expected the same after setup", "other genes")
        require(
            column_names(before) == column_names(after),
            "objectives: expected the same after setup",
            column_names(after),
        )
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
        values = np.random.default_rng(3).random((len(genomes), len(column_names(one))))
        values[-1] = np.nan
        self._picked(genomes, values)

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

    def test_pictures_are_drawings_and_need_no_setup(self) -> None:
        """A report shows them, of the unpruned and of some of the front."""
        before, after = self._prepared(), self._ready()
        if not (isinstance(before, Pictured) and isinstance(after, Pictured)):
            return
        for genome in self._batch(before)[0][:3]:
            picture = before.picture(genome)
            require_all([picture], Picture, "picture")
            require(after.picture(genome) == picture, "picture: expected the same after setup", "another one")

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
        rows = measured(problem, genomes, np.arange(len(genomes), dtype=np.uint64), Split.SEARCH)
        nothing = (np.nan,) * len(column_names(problem))
        return np.array([nothing if isinstance(row, Failure) else row for row in rows], dtype=np.float64)

    def _prepared(self) -> Problem:
        """Return a new problem, prepared in a folder that all checks of this class share."""
        problem, cls = self.problem(), type(self)
        if isinstance(problem, Prepared):
            if cls._folder is None:
                cls._folder = tempfile.TemporaryDirectory()
            problem.prepare(Path(cls._folder.name), PREPARED_BY)
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
