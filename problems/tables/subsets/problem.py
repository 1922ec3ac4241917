"""Which columns and new features to keep: what the problems on subsets have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Audit, Constraint, Description, Inspection, Objective, Reference, Row, about_of
from emoprune.errors import ConfigError, ContractError
from emoprune.plugins import nearest
from emoprune.problems.storage.kept_references import REFERENCES
from emoprune.problems.tables.formulas.formula import Column, Formula, Term
from emoprune.problems.tables.objectives.contract import Seen
from emoprune.problems.tables.options import SubsetOptions
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.scores.evidence import Evidence
from emoprune.problems.tables.subsets.audits.contract import SubsetFront
from emoprune.problems.tables.subsets.choosing import chosen
from emoprune.problems.tables.subsets.comparing import evidence_of
from emoprune.problems.tables.subsets.export import export_subset
from emoprune.problems.tables.subsets.genes import SubsetGenes
from emoprune.problems.tables.subsets.inspection import inspection_of
from emoprune.problems.tables.subsets.prepare import (
    NewFeatures,
    kept_baseline,
    kept_features,
    kept_plan,
    kept_references,
)
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs
from emoprune.problems.tables.table import Table
from emoprune.problems.tables.task import Loaded, TableTask
from emoprune.records import Candidate, Split
from emoprune.space import IntArray, Space

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SubsetProblem"]

FloatArray = NDArray[np.float64]


class SubsetProblem(ABC):
    """A search for subsets of a table's columns and of new features.

    Args:
        table: The table.
        options: What is measured of its subsets, and which references stand beside them.
    """

    def __init__(self, table: Table, options: SubsetOptions) -> None:
        self.task = TableTask(table, options)
        self._methods = plugins.methods("reference", options.references, options.problem, option="references")
        self._always = _stay(options.keep, table)
        self._genes: SubsetGenes | None = None
        self._survivors: tuple[Formula, ...] = ()
        self.led: frozenset[str] = frozenset()  # references that were chosen by their loss, by name
        self._references: tuple[Reference, ...] = ()
        self._held: Loaded | None = None

    @abstractmethod
    def _new_features(self, seed: int) -> NewFeatures:
        """Return the features that there are genes for; called once per run."""

    def _found_anew(self, folds: Sequence[Block], seed: int) -> Sequence[Sequence[Formula]] | None:  # noqa: ARG002  # nothing is looked for
        """Return the ranking of new features that the training rows of each fold find; None where all were given."""
        return None

    @property
    def _slots(self) -> int:
        """How many slots there are for features without a bit."""
        return 0

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The metric and the costs."""
        return self.task.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds."""
        return self.task.constraints

    @property
    def space(self) -> Space:
        """A bit per column that may go and per new feature, and the slots."""
        return self._known.space

    @property
    def _known(self) -> SubsetGenes:
        if self._genes is None:
            raise ContractError("the features are not known yet; call prepare(folder, seed) first")
        return self._genes

    @property
    def _loaded(self) -> Loaded:
        if self._held is None:
            raise ContractError("nothing is set up yet; call setup(device, threads) first")
        return self._held

    def inspect(self) -> Inspection:
        """Return what the table holds, how it is split, and how many features can be made of it."""
        return inspection_of(self.task)

    def prepare(self, folder: Path, seed: int) -> None:
        """Find new features and references in `folder`, or make them and keep them there."""
        making = _Making(self.task)
        self.task.plan = kept_plan(folder / "learner.json", self.task)
        found = kept_features(folder / "new-features.json", lambda: self._new_features(seed))
        self._survivors = found.survivors
        folds = [block.key for block in self.task.parts.folds]
        self.task.admit(dict(zip(folds, map(frozenset, found.by_fold), strict=bool(found.by_fold))))
        open_ones = [term for term in self.task.table.terms if term not in self._always]
        self._genes = genes = SubsetGenes((*open_ones, *found.survivors), found.others, self._slots, self._always)
        subsets = kept_references(
            folder / REFERENCES,
            self._chosen_methods,
            lambda: ReferenceInputs.of(
                self.task, making.loaded, genes, openfe=found.openfe, survivors=found.survivors, seed=seed
            ),
        )
        self._references = self._each_once([(name, genes.encoded(terms)) for name, terms, _ in subsets])
        self.led = frozenset(name for name, _, led in subsets if led)
        kept = [genes.decoded(reference.genome) for reference in self._references]
        baseline = kept_baseline(folder / "yardsticks.json", self.task, lambda: making.loaded, seed)
        self.task.hold_against(baseline, never_raced=kept)

    @property
    def _chosen_methods(self) -> Mapping[str, Any]:
        """The reference methods, without those that drop columns where all columns stay."""
        if len(self._always) < len(self.task.table.columns):
            return self._methods
        about = {name: about_of(type(method)) for name, method in self._methods.items()}
        return {
            name: self._methods[name] for name, own in about.items() if own is None or own.granularity != ("columns",)
        }

    def alarms(self, candidates: Sequence[Candidate], values: FloatArray) -> Sequence[str]:  # noqa: ARG002  # what was measured changes none of it
        """Return what was left out of the table or converted."""
        of_metric = [f"metric: {note}" for note in self.task.measures.metric.notes]
        return [*(f"data: {note}" for note in self.task.table.notes), *of_metric]

    def _each_once(self, named: Sequence[tuple[str, IntArray]]) -> tuple[Reference, ...]:
        first: dict[bytes, Reference] = {}
        for name, genome in named:
            first.setdefault(self.space.key(genome), Reference(name, genome))
        return tuple(first.values())

    def setup(self, device: str, threads: int) -> None:  # noqa: ARG002  # there is nothing here for a GPU
        """Make a learner with `threads` threads, and room for what is computed."""
        self._held = self.task.load(threads)

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> Sequence[Row]:
        """Return the metric, costs and bounded values of each genome."""
        pairs = zip(genomes, seeds.tolist(), strict=True)
        return [self.task.row(self._loaded, self._known.decoded(genome), seed, split) for genome, seed in pairs]

    def references(self) -> tuple[Reference, ...]:
        """Return all columns, then what a user would have picked without a search."""
        return self._references

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes in which no slot holds what another one holds."""
        return self._known.canonical(genomes)

    def kept(self, genome: IntArray) -> tuple[Term, ...]:
        """Return the columns and features that a genome keeps."""
        return self._known.decoded(genome)

    def evidence(self, genomes: Mapping[int, IntArray], seed: int) -> dict[int, Evidence]:
        """Return how genomes compare with all columns on folds that did not lead the search, by number."""
        subsets = {number: self._known.decoded(genome) for number, genome in genomes.items()}
        return evidence_of(
            self.task,
            self.task.settings(),
            subsets,
            self._survivors,
            found_anew=lambda folds: self._found_anew(folds, seed),
            whole_kept=len(self._always) == len(self.task.table.columns),
            seed=seed,
        )

    def best(self, front: pd.DataFrame, genomes: Mapping[int, IntArray], seed: int) -> int:
        """Return the candidate that fresh folds show to be better than all columns; all columns if there is none."""
        metric = self.task.measures.metric.name
        measured = front.loc[front[f"{Split.SELECT}.{metric}"].notna(), "candidate_id"]
        evidence = self.evidence({number: genomes[number] for number in measured.astype(int)}, seed)
        return chosen(front, evidence, self.task.measures.signs, "best", self.led)

    def describe(self, genome: IntArray) -> Description:
        """Say which columns and features are kept."""
        terms = self._known.decoded(genome)
        columns = [str(term) for term in terms if isinstance(term, Column)]
        made = [str(term) for term in terms if not isinstance(term, Column)]
        table = self.task.table
        needed, known = Seen(table, tuple(terms)).sources, {column.source for column in table.columns}
        found: dict[str, str | int | float] = {"inputs": len(terms)}
        found |= {"columns": ", ".join(columns)} if columns else {}
        found |= {"generated": "; ".join(made)} if made else {}
        return found | {"computed from": f"{len(needed)} of {len(known)} columns"}

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the features as readable formulas, with what computes them for new rows; verified in a fresh process.

        Raises:
            ContractError: What was reloaded does not give the features that were evaluated.
        """
        return export_subset(folder, self.task, self._loaded, self._known.decoded(genome), self.describe(genome))

    def audit(
        self,
        candidates: Sequence[Candidate],
        folder: Path,
        seed: int,
        *,
        method: str | Mapping[str, Any] = "folds-and-permutations",
        repeats: int = 5,
        permutations: int = 3,
    ) -> Audit:
        """Say whether the front can be believed: on fresh splits, on held-out rows, and with a shuffled target.

        Args:
            candidates: Members of the front.
            folder: Where a method may keep what takes long.
            seed: All randomness.
            method: How: an audit's name or import target, or a mapping of that and options.
            repeats: How often the rows are cut into fresh folds.
            permutations: How often the target is shuffled.

        Raises:
            ConfigError: There is no such audit, or an option is wrong.
        """
        shared = {"repeats": repeats, "permutations": permutations}
        chosen = plugins.method("audit", method, self.task.options.problem, option="method", shared=shared)
        genomes = {candidate.id: candidate.genome for candidate in candidates}
        front = SubsetFront(
            self.task,
            self._loaded,
            tuple(map(self._known.decoded, genomes.values())),
            folder,
            seed,
            tuple(genomes),
            lambda: self.evidence(genomes, seed),
        )
        answer: Audit = chosen(front)
        return answer

    def fingerprint(self) -> str:
        """Return a digest of the table."""
        return self.task.table.digest()

    def __getstate__(self) -> dict[str, Any]:
        # Workers compute for themselves; what was computed would only make the message larger.
        return {**vars(self), "_held": None}


def _stay(names: Sequence[str], table: Table) -> tuple[Term, ...]:
    """Return the columns that stay whatever is chosen; of dates and free texts all parts."""
    for name in names:
        if name not in table.names and name not in table.texts:
            left_out = next((note for note in table.notes if note.startswith(f"{name} is left out")), None)
            if left_out:
                raise ConfigError(f"keep: {left_out} Take it out of `keep`")
            raise ConfigError(f"keep: there is no column {name!r}{nearest(name, table.names)}")
    return tuple(Column(each.name) for each in table.columns if each.name in names or each.source in names)


class _Making:
    """What measures while preparing, made when something really has to be made."""

    def __init__(self, task: TableTask) -> None:
        self._task = task

    @cached_property
    def loaded(self) -> Loaded:
        """What measures, on one thread, so that what it finds depends on no machine."""
        return self._task.load(1)
