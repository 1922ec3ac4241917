"""Which training rows to keep, and how much to listen to a teacher: error against rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Inspection, Objective, Picture, Recovered, Reference, Row, about
from emoprune.errors import ContractError
from emoprune.problems.pictures.curves import bars
from emoprune.problems.pictures.svg import document
from emoprune.problems.samples.criteria.contract import Evidence
from emoprune.problems.samples.export import export_rows
from emoprune.problems.samples.genes import FIRST_CLASS, STEPS, Kept, SampleGenes
from emoprune.problems.samples.learning import (
    RANDOM_FEATURES,
    RIDGE,
    neighbours,
    one_hot,
    probabilities,
    ridge,
    teacher_of,
)
from emoprune.problems.samples.measured import DATA_PRUNING, Seen
from emoprune.problems.samples.options import SampleOptions
from emoprune.problems.samples.recovery.contract import Case
from emoprune.problems.samples.references.contract import ReferenceInputs
from emoprune.problems.samples.rows import Rows, rows_of
from emoprune.problems.scoring.blocks import RowBlocks, averaged
from emoprune.problems.scoring.measures import Measures
from emoprune.problems.storage.arrays import kept_arrays, save_weights
from emoprune.problems.storage.found_references import each_once, found_unmeasured_by
from emoprune.records import Candidate, Split
from emoprune.space import IntArray, Space

__all__ = ["SamplesProblem"]

NAME = "samples"
BINS = 20  # of a picture
TEACHER = "teacher"

_log = logging.getLogger("emoprune")
FloatArray = NDArray[np.float64]


@about("pruning", ["rows"], cost="one closed-form fit of the student", papers=[DATA_PRUNING])
class SamplesProblem:
    """Prune the rows that a student learns from: a window of difficulty, a share of each class, a share of the teacher.

    The student learns in closed form from frozen features of the rows that stay; the teacher, which softens their
    targets, has learnt from all of them. Scores of difficulty and the teacher see training rows alone.

    Source: Distilling the Knowledge in Data Pruning (arXiv 2403.07854).
    """

    options: ClassVar[type[SampleOptions]] = SampleOptions

    def __init__(self, **given: Any) -> None:
        self._own = own = SampleOptions(**given)
        self._rows: Rows = rows_of(own)
        # A file is read here, so that one that is missing is refused before there is a run.
        self._file = None if own.teacher == RIDGE else self._taught(0)
        self._blocks = RowBlocks.dealt({part: labels for part, (_, labels) in self._rows.held_out.items()})
        self._measures = Measures.of(own.objectives, NAME)
        self._criteria = plugins.methods("criterion", own.criteria, NAME, option="criteria")
        self._methods = plugins.methods("reference", own.references, NAME, option="references")
        self._genes: SampleGenes | None = None
        self._teacher: FloatArray | None = None
        self._references: tuple[Reference, ...] = ()

    def _taught(self, seed: int) -> FloatArray | None:
        rows = self._rows
        return teacher_of(self._own.teacher, rows.features, rows.labels, len(rows.classes), seed)

    @property
    def _known(self) -> SampleGenes:
        if self._genes is None:
            raise ContractError("the rows have no scores yet; call prepare(folder, seed) first")
        return self._genes

    @property
    def space(self) -> Space:
        """The score, the window on it, the teacher's share, and what stays of each class."""
        return self._known.space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is made better; rows are worth measuring from all of them on."""
        return self._measures.objectives({"rows": float(len(self._rows.labels))})

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
        """Return what the rows are, class by class."""
        rows = self._rows
        summary: dict[str, str | int | float | bool] = {
            "data": self._own.data,
            "training rows": len(rows.labels),
            "features": rows.features.shape[1],
            "teacher": self._own.teacher,
        }
        summary |= {f"rows to {part.value} on": len(labels) for part, (_, labels) in rows.held_out.items()}
        counts = np.bincount(rows.labels, minlength=len(rows.classes)).tolist()
        table = [{"class": name, "training rows": count} for name, count in zip(rows.classes, counts, strict=True)]
        return Inspection(summary, {"classes": table}, list(rows.notes))

    def alarms(self, candidates: Sequence[Candidate], values: FloatArray) -> Sequence[str]:  # noqa: ARG002  # what was measured changes none of it
        """Return what was left out of the data or converted."""
        return [f"data: {note}" for note in self._rows.notes]

    def prepare(self, folder: Path, seed: int) -> None:
        """Let the teacher learn and rows be scored, once; and let the methods find references, all from `seed`."""
        rows = self._rows
        for note in rows.notes:
            _log.warning("data: %s", note)

        def made() -> dict[str, FloatArray]:
            evidence = Evidence(rows.features, rows.labels, len(rows.classes), seed)
            found = {name: self._scored(name, evidence) for name in self._criteria}
            taught = self._taught(seed) if self._own.teacher == RIDGE else self._file
            return found if taught is None else {**found, TEACHER: np.ascontiguousarray(taught)}

        kept = kept_arrays(folder / "rows.safetensors", made)
        self._teacher = kept.get(TEACHER)
        scores = {name: kept[name] for name in self._criteria}
        lots = np.random.default_rng([seed, 8]).random(len(rows.labels))
        self._genes = genes = SampleGenes(scores, rows.labels, rows.classes, lots, self._teacher is not None)
        inputs = ReferenceInputs(genes, np.random.default_rng(seed))
        found = found_unmeasured_by(self._methods, inputs, "nothing is measured before rows are searched")
        self._references = each_once([Reference("unpruned", genes.unpruned), *found], genes.space, genes.canonical)

    def _scored(self, name: str, evidence: Evidence) -> FloatArray:
        scores = np.ascontiguousarray(self._criteria[name](evidence), dtype=np.float64)
        if scores.shape != evidence.labels.shape or not np.isfinite(scores).all():
            raise ContractError(
                f"criterion {name!r}: expected a finite score for each of {len(evidence.labels)} rows, found shape "
                f"{scores.shape} or scores that are not finite"
            )
        return scores

    def setup(self, device: str, threads: int) -> None:
        """Do nothing: the rows are in memory, and there is nothing here for a GPU."""

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> Sequence[Row]:
        """Return the objectives of each genome on a part of the rows."""
        rows = self.evaluate_blocks(genomes, seeds, split, self._blocks.whole(split))
        sizes = self._blocks.sizes(split)
        return [averaged(each, sizes) if isinstance(each, np.ndarray) else each for each in rows]

    def evaluate_blocks(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # which rows stay was drawn once
        split: Split,
        blocks: range,
    ) -> Sequence[Row]:
        """Return the objectives of each genome block by block."""
        features, labels = self._rows.held_out[Split(split)]
        pieces = [self._blocks.of_split[Split(split)][block] for block in blocks]
        found: list[Row] = []
        for genome in genomes:
            kept = self._known.decoded(genome)
            said = self._student(kept, features[np.concatenate(pieces)])
            parts = np.split(said, np.cumsum([len(own) for own in pieces])[:-1])
            seen = [self._seen(kept, own, labels[rows]) for own, rows in zip(parts, pieces, strict=True)]
            found.append(self._measures.rows(seen))
        return found

    def _seen(self, kept: Kept, said: FloatArray, labels: IntArray) -> Seen:
        width, classes = self._rows.features.shape[1], len(self._rows.classes)
        cost = RANDOM_FEATURES * (width + classes) if self._own.teacher == RIDGE else 0.0
        return Seen(kept, width, said, labels, cost)

    def _student(self, kept: Kept, inputs: FloatArray) -> FloatArray:
        """Return the probabilities that a student says, who learnt from the rows that stay."""
        own = self._rows.features[kept.rows]
        targets = one_hot(self._rows.labels[kept.rows], len(self._rows.classes))
        if self._teacher is not None and kept.teacher > 0:
            targets = (1 - kept.teacher) * targets + kept.teacher * self._teacher[kept.rows]
        if self._own.student == "knn":
            return neighbours(own, targets, inputs)
        return probabilities(ridge(own, targets, self._own.penalty), inputs)

    def references(self) -> tuple[Reference, ...]:
        """Return all rows, then what a user would have picked without a search."""
        if self._genes is None:
            raise ContractError("there are no references yet; call prepare(folder, seed) first")
        return self._references

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes in which what has no effect is as it is in all rows."""
        return self._known.canonical(genomes)

    def describe(self, genome: IntArray) -> Description:
        """Say which rows stay, and how much the teacher is heard."""
        genes, kept = self._known, self._known.decoded(genome)
        low, high = genes.window(genome)
        described: dict[str, str | int | float] = {"rows": len(kept.rows), "of": len(self._rows.labels)}
        if (low, high) != (0, STEPS):
            described["score"] = list(genes.scores)[int(genome[0])]
            described["window"] = f"from {5 * low} % to {5 * high} %, the easiest first"
        described["share of the teacher"] = kept.teacher
        shares = zip(self._rows.classes, genome[FIRST_CLASS:].tolist(), strict=True)
        return {**described, "at most of each class": ", ".join(f"{name} {5 * level} %" for name, level in shares)}

    def picture(self, genome: IntArray) -> Picture:
        """Draw how many of the rows of each difficulty stay."""
        genes, kept = self._known, self._known.decoded(genome)
        name = list(genes.scores)[int(genome[0])]
        scores = genes.scores[name]
        edges = np.linspace(scores.min(), scores.max(), BINS + 1)
        everybody, stay = (np.histogram(own, edges)[0] for own in (scores, scores[kept.rows]))
        labels = [f"{edge:.3g}" for edge in edges[1:]]
        drawn = bars(f"training rows by {name}, the hardest on the right", {"all": everybody, "kept": stay}, labels)
        return Picture(f"{len(kept.rows)} of {len(scores)} rows", document([drawn]))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the numbers of the rows that stay, a hash of each, and what selects them.

        Raises:
            ContractError: What was reloaded selects other rows.
            StorageError: The folder cannot be written.
        """
        files = export_rows(folder, self._rows, self._known.decoded(genome))
        return {**self.describe(genome), "files": files, "verified": "same rows in a fresh process without emoprune"}

    def recover(
        self,
        genome: IntArray,
        folder: Path,
        seed: int,
        *,
        method: Annotated[str | Mapping[str, Any], plugins.naming("recovery", NAME)] = "distil",
    ) -> Recovered:
        """Train a student network on the rows that stay, with the teacher as the genome has it, and measure it.

        Args:
            genome: Which rows stay.
            folder: Where its weights are written.
            seed: All randomness.
            method: How: a recovery's name or import target, or a mapping of that and options.

        Raises:
            ConfigError: There is no such recovery, or an option is wrong.
        """
        rows, kept = self._rows, self._known.decoded(genome)
        taught = None if self._teacher is None else self._teacher[kept.rows]
        case = Case(rows.features[kept.rows], rows.labels[kept.rows], len(rows.classes), taught, kept.teacher, seed)
        trained = plugins.method("recovery", method, NAME, option="method")(case)
        save_weights(folder / "student.safetensors", trained.weights, {})
        values = {}
        for part in (Split.SELECT, Split.TEST):
            features, labels = rows.held_out[part]
            row = self._measures.row(self._seen(kept, trained.student(features), labels))
            if not isinstance(row, list):
                raise ContractError(f"recover: expected numbers after training, found {row}; lower the rate")
            values[part.value] = dict(zip(self._measures.known, row, strict=True))
        return Recovered(values, {"file": "student.safetensors", "rows": len(kept.rows), "teacher": kept.teacher})

    def fingerprint(self) -> str:
        """Return a digest of the data."""
        return self._rows.origin
