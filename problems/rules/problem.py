"""Which rules and exceptions to keep: inverse Brier score against literals and rows without a rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Inspection, Objective, Passage, Picture, Reference, Row, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.pictures.curves import bars
from emoprune.problems.pictures.svg import document
from emoprune.problems.rules.export import export_rules
from emoprune.problems.rules.genes import RuleGenes
from emoprune.problems.rules.measured import CONFOLD, Seen
from emoprune.problems.rules.options import RuleOptions
from emoprune.problems.rules.references.catalogue import references_of
from emoprune.problems.rules.references.contract import ReferenceInputs
from emoprune.problems.rules.standalone.fold import (
    Rules,
    Trusted,
    clauses_of,
    first_covering,
    learnt,
    literals_in,
    pruned,
)
from emoprune.problems.rules.wording import Wording
from emoprune.problems.scoring.blocks import RowBlocks, averaged
from emoprune.problems.scoring.measures import Measures
from emoprune.problems.tables.reading.sources import read_table, say
from emoprune.problems.tables.rows.splits import Block, split
from emoprune.problems.tables.table import ColumnKind
from emoprune.records import Candidate, Split
from emoprune.space import IntArray, Space

__all__ = ["RulesProblem"]

NAME = "rules"


@about("pruning", ["rules"], cost="one pass over the rows for each literal", papers=[CONFOLD])
class RulesProblem:
    """Prune rules with exceptions that were learnt from a table's rows: one bit for each, and two thresholds.

    Confidences are learnt anew for the rules that stay, from the rows that the rules were learnt from.

    Source: CON-FOLD: Explainable Machine Learning with Confidence (arXiv 2408.07854).
    """

    options: ClassVar[type[RuleOptions]] = RuleOptions

    def __init__(self, **given: Any) -> None:
        self._own = RuleOptions(**given)
        self._table = table = read_table(self._own.source)
        parts = split(table, self._own.cut)
        self._fit = parts.folds[0].train
        self._rows = {
            Split.SEARCH: parts.folds[0].scored,
            Split.SELECT: parts.select.scored,
            Split.TEST: parts.test.scored,
        }
        self._labels = table.target.astype(np.int64)
        if len(np.unique(self._labels[self._fit])) < 2:
            raise ConfigError("data: expected two classes or more among the rows to learn from, found one; give more")
        self._matrix = np.column_stack([values.as_input() for values in table.values])
        self._blocks = RowBlocks.dealt({part: self._labels[rows] for part, rows in self._rows.items()})
        self._measures = Measures.of(self._own.objectives, NAME)
        self._methods = plugins.methods("reference", self._own.references, NAME, option="references")
        self._wording = Wording(table.columns, table.classes)
        self._genes = RuleGenes(self._learnt(), self._pruned)
        self._references: tuple[Reference, ...] | None = None

    def _learnt(self) -> Rules:
        categorical = np.array([column.kind is ColumnKind.CATEGORICAL for column in self._table.columns])
        ratio, most = self._own.ratio, self._own.most
        self._all = learnt(self._matrix[self._fit], categorical, self._labels[self._fit], ratio, most)
        if not self._all:
            raise ConfigError(
                f"data: expected columns that tell the classes apart, found no rule at a ratio of {ratio:g}; give "
                "others, or raise `ratio`"
            )
        return self._all

    def _pruned(self, improvement: float, confidence: float) -> Rules:
        return pruned(self._all, self._matrix[self._fit], self._labels[self._fit], improvement, confidence)

    @property
    def space(self) -> Space:
        """Two thresholds, and a bit for each rule and each exception."""
        return self._genes.space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is made better; literals are worth measuring from those of the unpruned rules on."""
        whole = {"literals": float(literals_in(self._all)), "rule-count": float(len(self._all))}
        return self._measures.objectives(whole)

    @property
    def noisy(self) -> tuple[str, ...]:
        """What is a mean over rows."""
        return self._measures.noisy

    @property
    def grades(self) -> tuple[int, ...]:
        """After how many blocks it is asked who goes on."""
        return self._blocks.grades

    def block_sizes(self, split: Split) -> Sequence[float]:
        """Return how many rows each block has."""
        return self._blocks.sizes(split)

    def inspect(self) -> Inspection:
        """Return what the table holds, and how many rules were learnt."""
        table = self._table
        summary: dict[str, str | int | float | bool] = {
            "table": self._own.data,
            "classes": ", ".join(table.classes),
            "rows to learn from": len(self._fit),
        }
        summary |= {f"rows to {part.value} on": len(rows) for part, rows in self._rows.items()}
        rules = self._all
        summary |= {"rules": len(rules), "exceptions": len(clauses_of(rules)) - len(rules)}
        summary |= {"literals": literals_in(rules)}
        return Inspection(summary, {}, [*table.notes, *self._contradictions()])

    def _contradictions(self) -> list[str]:
        """Say how many rows to learn from have the same values as a row of another class."""
        rows = np.nan_to_num(self._matrix[self._fit], nan=np.inf)
        _, place = np.unique(rows, axis=0, return_inverse=True)
        counts = np.zeros((int(place.max()) + 1, len(self._table.classes)), dtype=np.int64)
        np.add.at(counts, (place.ravel(), self._labels[self._fit]), 1)
        torn = int(counts[(counts > 0).sum(axis=1) > 1].sum())
        return [f"{torn} rows to learn from have the values of a row of another class; no rule parts them."] * (
            torn > 0
        )

    def alarms(self, candidates: Sequence[Candidate], values: NDArray[np.float64]) -> Sequence[str]:  # noqa: ARG002  # what was measured changes none of it
        """Return what was left out of the table or converted."""
        return [f"data: {note}" for note in self._table.notes]

    def prepare(self, folder: Path, seed: int) -> None:  # noqa: ARG002  # what is found takes no time, so it is not kept
        """Let the methods find references; all their randomness comes from `seed`."""
        say(self._table)
        own = self._own
        inputs = ReferenceInputs(self._genes, own.improvement, own.confidence, np.random.default_rng(seed))
        self._references = references_of(self._methods, inputs)

    def setup(self, device: str, threads: int) -> None:
        """Do nothing: the table is in memory, and there is nothing here for a GPU."""

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> Sequence[Row]:
        """Return the objectives of each genome on a part of the rows."""
        rows = self.evaluate_blocks(genomes, seeds, split, self._blocks.whole(split))
        sizes = self._blocks.sizes(split)
        return [averaged(each, sizes) if isinstance(each, np.ndarray) else each for each in rows]

    def evaluate_blocks(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # nothing is drawn
        split: Split,
        blocks: range,
    ) -> Sequence[Row]:
        """Return the objectives of each genome block by block."""
        part, of_split = self._rows[Split(split)], self._blocks.of_split[Split(split)]
        pieces = [part[of_split[block]] for block in blocks]
        found = []
        for genome in genomes:
            trusted = self.trusted(genome)
            found.append(self._measures.rows([self._seen(trusted, rows) for rows in pieces]))
        return found

    def _seen(self, trusted: Trusted, rows: IntArray) -> Seen:
        return Seen(trusted, first_covering(trusted.rules, self._matrix[rows]), self._labels[rows])

    def trusted(self, genome: IntArray) -> Trusted:
        """Return the rules that a genome keeps, with what the rows that were learnt from say of them."""
        rules, classes = self._genes.decoded(genome), len(self._table.classes)
        return Trusted.of(rules, self._matrix[self._fit], self._labels[self._fit], classes)

    def references(self) -> tuple[Reference, ...]:
        """Return all rules, then what a user would have picked without a search."""
        if self._references is None:
            raise ContractError("there are no references yet; call prepare(folder, seed) first")
        return self._references

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes without thresholds, in which all that has no effect counts as kept."""
        return self._genes.canonical(genomes)

    def describe(self, genome: IntArray) -> Description:
        """Say how many rules are kept, and all of them in words."""
        trusted = self.trusted(genome)
        rules = trusted.rules
        return {
            "rules": len(rules),
            "exceptions": len(clauses_of(rules)) - len(rules),
            "literals": literals_in(rules),
            "text": self._wording.text(trusted).replace("\n", "; ").removesuffix("; "),
        }

    def marked(self, genome: IntArray) -> Sequence[Passage]:
        """Return all rules, with what stays."""
        kept = {clause.number for clause in clauses_of(self._genes.decoded(genome))}
        return self._wording.passages(self._all, kept)

    def picture(self, genome: IntArray) -> Picture:
        """Draw how many rows of `select` each rule decides, and how many of them wrongly."""
        trusted, rows = self.trusted(genome), self._rows[Split.SELECT]
        seen, count = self._seen(trusted, rows), len(trusted.rules) + 1
        wrong = trusted.labels[seen.first] != seen.labels
        covered, missed = np.bincount(seen.first, minlength=count), np.bincount(seen.first[wrong], minlength=count)
        names = [*(f"rule {number}" for number in range(1, count)), "otherwise"]
        drawn = bars("rows of select that each rule decides", {"decided": covered, "of these wrong": missed}, names)
        return Picture(self._wording.text(trusted).replace("\n", "; "), document([drawn]))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the rules as text, as JSON and as a classifier that loads without emoprune.

        Raises:
            ContractError: What was reloaded gives other probabilities.
            StorageError: The folder cannot be written.
        """
        trusted, block = self.trusted(genome), Block("export", self._fit, self._rows[Split.TEST])
        said = export_rules(folder, self._table, trusted, block, self._matrix)
        return {**self.describe(genome), **said}

    def fingerprint(self) -> str:
        """Return a digest of the table."""
        return self._table.digest()
