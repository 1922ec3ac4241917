"""Some shares of the rows: at random, with and without the teacher, and the hardest ones."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.errors import ConfigError
from emoprune.problems.samples.genes import STEPS
from emoprune.problems.samples.measured import DATA_PRUNING
from emoprune.problems.samples.references.contract import ReferenceInputs

__all__ = ["Hardest", "Random"]


@dataclass(frozen=True, slots=True)
class AtShares:
    """A method that keeps some shares of every class.

    Args:
        percentages: How many rows stay, multiples of five below 100.

    Raises:
        ConfigError: They are others.
    """

    percentages: tuple[int, ...] = (50, 25, 10, 5)

    def __post_init__(self) -> None:
        wrong = [each for each in self.percentages if each % 5 or not 0 < each < 100]
        if wrong or len(set(self.percentages)) != len(self.percentages) or not self.percentages:
            raise ConfigError(
                f"percentages: expected multiples of 5 from 5 to 95, each once, found {list(self.percentages)}"
            )


@about("pruning", ["rows"], serves=["samples"], cost="nothing is run", papers=[DATA_PRUNING])
@dataclass(frozen=True, slots=True)
class Random(AtShares):
    """Rows drawn at random from every class, without the teacher and, where there is one, with half of it."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return `random-N` and `random-teacher-N` for each share."""
        genes, references = inputs.genes, []
        for percentage in self.percentages:
            references.append(Reference(f"random-{percentage}", genes.genome(percentage / 100)))
            if genes.taught:
                taught = genes.genome(percentage / 100, teacher=0.5)
                references.append(Reference(f"random-teacher-{percentage}", taught))
        return Found(tuple(references))


@about("pruning", ["rows"], serves=["samples"], cost="nothing is run", papers=[DATA_PRUNING])
@dataclass(frozen=True, slots=True)
class Hardest(AtShares):
    """The hardest rows of every class by the first of the scores, without the teacher."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return `hardest-N` for each share."""
        genes = inputs.genes
        score = next(iter(genes.scores))
        windows = {each: (STEPS - each // 5, STEPS) for each in self.percentages}
        return Found(
            tuple(
                Reference(f"hardest-{percentage}", genes.genome(1.0, score=score, window=own))
                for percentage, own in windows.items()
            )
        )
