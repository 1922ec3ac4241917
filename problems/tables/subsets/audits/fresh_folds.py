"""Which subsets of a front are better than all columns: on fresh folds, on which new features are found anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from emoprune.contracts import Audit, Finding, about
from emoprune.problems.tables.formulas.formula import Column
from emoprune.problems.tables.scores.evidence import Evidence
from emoprune.problems.tables.subsets.audits.contract import SubsetFront

__all__ = ["FreshFolds"]


@about(
    "audit",
    ["columns", "formulas"],
    serves=["features", "feature-subset"],
    cost="formulas once for each fresh fold, and models of each subset on all of these folds",
    training=True,
)
@dataclass(frozen=True, slots=True)
class FreshFolds:
    """Which subsets are better than all columns by more than one standard error, on folds that led no search."""

    def __call__(self, front: SubsetFront) -> Audit:
        """Return what is worth to be exported, and a table of the subsets."""
        evidence = front.evidence()
        rows = [
            {
                "candidate": number,
                "inputs": len(terms),
                "new columns": sum(not isinstance(term, Column) for term in terms),
                "difference": evidence[number].difference,
                "standard error": evidence[number].error,
                "measured difference": evidence[number].measured,
                "held against": evidence[number].against,
                "better": "yes" if evidence[number].better() else "no",
            }
            for number, terms in zip(front.numbers, front.subsets, strict=True)
            if number in evidence
        ]
        return Audit([_best(evidence)], {"subsets": rows} if rows else {})


def _best(evidence: Mapping[int, Evidence]) -> Finding:
    name = "better than all columns"
    better = [number for number, each in evidence.items() if each.better()]
    if not better:
        sentence = (
            f"None of {len(evidence)} subsets is better than all columns by more than one standard error on fresh "
        )
        return Finding(name, 0.0, None, None, alarm=True, sentence=sentence + "folds: keep the columns you came with.")
    best = min(better, key=lambda number: evidence[number].difference)
    found = evidence[best]
    low, high = found.difference - found.error, found.difference + found.error
    sentence = (
        f"Candidate {best} loses {-found.difference:.4g} less than {found.against} on fresh folds (standard error "
        f"{found.error:.4g}); {len(better)} of {len(evidence)} subsets are better by more than one standard error."
    )
    return Finding(name, found.difference, low, high, alarm=False, sentence=sentence)
