"""What every problem promises, as checks."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from emoprune.contracts import Failure, Problem, Split, blocks_of
from emoprune.errors import ContractError
from emoprune.space import IntArray
from emoprune.testing.blocks import check_blocks
from emoprune.testing.outlines import OutlineConformance
from emoprune.testing.promises import require, require_plain
from emoprune.testing.rows import Measured, measured

__all__ = ["ProblemConformance"]


class ProblemConformance(OutlineConformance):
    """Checks of a problem: override `problem`, and the attributes where they do not fit.

    Attributes:
        genomes: How many random legal genomes are measured, beside the references.
        device: What `setup` is told to compute on.
        threads: How many threads `setup` is told to use.
    """

    _whole: ClassVar[list[Measured] | None] = None

    @classmethod
    def teardown_class(cls) -> None:
        """Let go of what was measured too."""
        super().teardown_class()
        cls._whole = None

    def test_every_legal_genome_gets_a_row_on_every_split(self) -> None:
        """A row is finite and of full width, or a Failure; nothing is raised, and not everything fails."""
        problem = self._ready()
        genomes, seeds = self._batch(problem)
        for split in Split:
            rows = self._in_one_go() if split is Split.SEARCH else measured(problem, genomes, seeds, split)
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

    def test_an_export_writes_files_and_leaves_the_problem_as_it_was(self) -> None:
        """What a search is for, of the first and of the last genome that can be measured."""
        problem = self._ready()
        genomes, seeds = self._batch(problem)
        before = measured(problem, genomes, seeds, Split.SEARCH)
        good = [place for place, row in enumerate(before) if not isinstance(row, Failure)]
        for place in sorted({good[0], good[-1]}):
            with tempfile.TemporaryDirectory() as folder:
                require_plain(problem.export(genomes[place], Path(folder)), "export")
                written = [path for path in Path(folder).rglob("*") if path.is_file() and path.stat().st_size]
            require(bool(written), "export: expected the pruned thing in files of the given folder", "none")
        after = measured(problem, genomes, seeds, Split.SEARCH)
        require(after == before, f"evaluate: expected the same rows after an export, {before}", after)

    def test_blocks_are_measured_alike_in_whatever_pieces(self) -> None:
        """A problem with grades pays for each block once; a problem without any has nothing to promise here."""
        if blocks_of(self._ready()) is not None:
            another = self._set_up(self._prepared())  # which has measured nothing yet
            check_blocks(self._ready(), another, *self._batch(self._ready()))

    def _places(self) -> IntArray:
        """Return 0, 1, 2, ... for the genomes of the batch."""
        return np.arange(len(self._batch(self._ready())[0]))

    def _in_one_go(self) -> list[Measured]:
        """Return the rows of the whole batch, measured once for all checks of this class."""
        cls = type(self)
        if cls._whole is None:
            cls._whole = measured(self._ready(), *self._batch(self._ready()), Split.SEARCH)
        return cls._whole

    def _require_same_rows(self, how: str, pieces: Sequence[IntArray], problem: Problem) -> None:
        """Let `problem` measure the batch in pieces, given as places in it, and compare with the batch in one go."""
        genomes, seeds = self._batch(self._ready())
        whole = self._in_one_go()
        for piece in pieces:
            rows = measured(problem, genomes[piece], seeds[piece], Split.SEARCH)
            for place, row in zip(piece.tolist(), rows, strict=True):
                expected = f"evaluate: expected the same row {how} as in the whole batch, {whole[place]}"
                require(row == whole[place], expected, f"{row} for the genome {genomes[place].tolist()}")
