"""A feature as data: a column of the table, or an operator over features; no text is ever parsed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from emoprune.errors import ConfigError
from emoprune.problems.tables.formulas.operators import OPERATORS

__all__ = ["Column", "Formula", "Term", "from_plain", "order_of", "plain_of", "reciprocal", "sources", "unique_names"]


@dataclass(frozen=True, slots=True, order=True)
class Column:
    """A column of the table, under any name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Formula:
    """An operator over features: columns, or formulas again."""

    operator: str
    inputs: tuple[Term, ...]

    def __post_init__(self) -> None:
        if self.operator not in OPERATORS:
            raise ConfigError(f"no operator is called {self.operator!r}; expected one of {', '.join(OPERATORS)}")
        expected = len(OPERATORS[self.operator].takes)
        if len(self.inputs) != expected:
            raise ConfigError(f"operator {self.operator!r}: expected {expected} inputs, found {len(self.inputs)}")

    def __str__(self) -> str:
        words = [f"({each})" if " " in str(each) and isinstance(each, Formula) else str(each) for each in self.inputs]
        return OPERATORS[self.operator].shown.format(*words)


Term: TypeAlias = Column | Formula


def sources(term: Term) -> frozenset[str]:
    """Return the names of the columns that a feature is made of."""
    if isinstance(term, Column):
        return frozenset((term.name,))
    return frozenset().union(*(sources(each) for each in term.inputs))


def order_of(term: Term) -> int:
    """Return how many operators lie on top of each other: 0 for a column."""
    return 0 if isinstance(term, Column) else 1 + max(order_of(each) for each in term.inputs)


def reciprocal(formula: Formula) -> Formula | None:
    """Return a quotient's reciprocal; None for what is no quotient."""
    return Formula("divide", formula.inputs[::-1]) if formula.operator == "divide" else None


def plain_of(term: Term) -> dict[str, Any]:
    """Return a feature as JSON keeps it."""
    if isinstance(term, Column):
        return {"column": term.name}
    return {"operator": term.operator, "inputs": [plain_of(each) for each in term.inputs]}


def from_plain(plain: Mapping[str, Any]) -> Term:
    """Return the feature that `plain_of` wrote.

    Raises:
        ConfigError: It is neither a column nor an operator over features.
    """
    match plain:
        case {"column": str(name)} if len(plain) == 1:
            return Column(name)
        case {"operator": str(operator), "inputs": [*inputs]} if len(plain) == 2:
            return Formula(operator, tuple(from_plain(each) for each in inputs))
    raise ConfigError(
        f"formula: expected {{column: name}} or {{operator: name, inputs: [...]}}, found {str(plain)[:200]}"
    )


def unique_names(terms: Sequence[Term]) -> list[str]:
    """Return a readable name for each feature; two that would read alike get a number."""
    names: list[str] = []
    for term in terms:
        name, number = str(term), 2
        while name in names:
            name, number = f"{term} #{number}", number + 1
        names.append(name)
    return names
