"""The references of rules, and the order in which they come."""

from __future__ import annotations

from emoprune.contracts import Reference
from emoprune.problems.rules.references.contract import ReferenceInputs
from emoprune.problems.storage.found_references import Methods, each_once, found_unmeasured_by

__all__ = ["references_of"]


def references_of(methods: Methods, inputs: ReferenceInputs) -> tuple[Reference, ...]:
    """Return all rules, then what the methods pick; rules that are the same appear once.

    Raises:
        ContractError: A method wants genomes measured, or picks one that is not legal.
    """
    references = [Reference("unpruned", inputs.space.full)]
    references += found_unmeasured_by(methods, inputs, "nothing is measured before rules are searched")
    return each_once(references, inputs.space, inputs.genes.canonical)
