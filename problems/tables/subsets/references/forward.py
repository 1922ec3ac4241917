"""Sequential forward selection: add, one at a time, the column or new feature that helps most."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, about
from emoprune.errors import ConfigError
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, SubsetReference

__all__ = ["Forward", "ForwardNew"]

COST = "a model for each of the columns tried, for each that is added"


@about("pruning", ["columns"], serves=["features", "feature-subset"], cost=COST, training=True)
@dataclass(frozen=True, slots=True)
class Forward:
    """The columns that help most when they are added one at a time, judged on the first fold.

    Args:
        most: How many are added; every second of the subsets on the way is a reference.
        tried: How many there are to choose from: those with the most mutual information with the target.
    """

    most: int = 6
    tried: int = 30

    def __post_init__(self) -> None:
        if self.most < 2 or self.tried < 2:
            raise ConfigError(f"forward: expected most and tried from 2 on, found {self.most} and {self.tried}")

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return the subsets of two, four and more columns on the way."""
        return Found(self._grown(inputs, _informative(inputs, self.tried), "forward"))

    def _grown(self, inputs: ReferenceInputs, choice: list[Term], name: str) -> tuple[SubsetReference, ...]:
        open_ones = [term for term in choice if term not in inputs.genes.always]
        chosen, found = list[Term](), list[SubsetReference]()
        while open_ones and len(chosen) < self.most:
            losses = [inputs.loss([*inputs.genes.always, *chosen, term]) for term in open_ones]
            chosen.append(open_ones.pop(losses.index(min(losses))))
            if len(chosen) % 2 == 0 and open_ones:
                found.append(inputs.keeping(f"{name}-{len(chosen)}", chosen))
        return tuple(found)


@about("pruning", ["columns", "formulas"], serves=["features", "feature-subset"], cost=COST, training=True)
@dataclass(frozen=True, slots=True)
class ForwardNew(Forward):
    """The columns and new features that help most when they are added one at a time; nothing without new ones.

    Args:
        tried: How many there are to choose from: half of them columns, half new features, the most important ones.
    """

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return the subsets of two, four and more inputs on the way; nothing if there are no new features."""
        if not inputs.survivors:
            return Found()
        half = self.tried // 2
        choice = [*_informative(inputs, half), *inputs.survivors[:half]]
        return Found(self._grown(inputs, choice, "forward-new"))


def _informative(inputs: ReferenceInputs, most: int) -> list[Term]:
    return [inputs.columns[place] for place in inputs.most_informative()[:most].tolist()]
