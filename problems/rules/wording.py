"""Rules as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emoprune.contracts import Passage
from emoprune.problems.rules.standalone.fold import Clause, Literal, Rules, Trusted
from emoprune.problems.tables.table import TableColumn

__all__ = ["Wording"]

INDENT = "    "


@dataclass(frozen=True, slots=True)
class Wording:
    """The words for columns, categories and classes."""

    columns: Sequence[TableColumn]
    classes: Sequence[str]

    def literal(self, literal: Literal) -> str:
        """Return a comparison; the code of a category as the category."""
        column = self.columns[literal.column]
        if literal.operator in ("<=", ">"):
            return f"{column.name} {literal.operator} {literal.value:g}"
        return f"{column.name} {'is' if literal.operator == '==' else 'is not'} {column.categories[int(literal.value)]}"

    def body(self, clause: Clause) -> str:
        """Return the comparisons of a clause without its exceptions."""
        return " and ".join(map(self.literal, clause.body))

    def text(self, trusted: Trusted) -> str:
        """Return rules with their confidences, one below the other, exceptions indented."""
        if not trusted.rules:
            return f"always {self.classes[trusted.labels[-1]]} ({trusted.confidences[-1]:.2f})\n"
        lines = []
        for number, rule in enumerate(trusted.rules):
            said = f"{self.classes[rule.label]} ({trusted.confidences[number]:.2f})"
            lines.append(f"{number + 1}. {said} if {self.body(rule.clause)}")
            lines += list(self._exceptions(rule.clause, 1))
        lines.append(f"otherwise {self.classes[trusted.labels[-1]]} ({trusted.confidences[-1]:.2f})")
        return "\n".join(lines) + "\n"

    def _exceptions(self, clause: Clause, depth: int) -> Iterator[str]:
        for exception in clause.exceptions:
            yield f"{INDENT * depth}unless {self.body(exception)}"
            yield from self._exceptions(exception, depth + 1)

    def passages(self, whole: Rules, kept: set[int]) -> list[Passage]:
        """Return all rules of a set, each clause with whether it stays."""
        found = []
        for number, rule in enumerate(whole, start=1):
            head = f"{number}. {self.classes[rule.label]} if "
            found += self._passages(rule.clause, kept, head, 1)
        return found

    def _passages(self, clause: Clause, kept: set[int], head: str, depth: int) -> list[Passage]:
        found = [Passage(f"{head}{self.body(clause)}", clause.number in kept), Passage("\n")]
        for exception in clause.exceptions:
            found += self._passages(exception, kept, f"{INDENT * depth}unless ", depth + 1)
        return found
