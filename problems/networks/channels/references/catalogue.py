"""The references of channel widths that a user gets unless others are named, and what methods make of a network."""

from __future__ import annotations

from emoprune.contracts import Reference, Starts
from emoprune.problems.networks.channels.references.inputs import ReferenceInputs
from emoprune.problems.storage.found_references import Methods, each_once, found_by

__all__ = ["BY_DEFAULT", "first_references"]

# Those that have to measure take more evaluations than a generation has; they come when they are named.
BY_DEFAULT = ("uniform", "global-magnitude", "erk", "balanced", "pyramidal", "pq-0_5-1", "pq-1-2", "random")


def first_references(methods: Methods, inputs: ReferenceInputs) -> tuple[tuple[Reference, ...], dict[str, Starts]]:
    """Return the unpruned genome and what the methods pick without measuring; and what to measure for the rest of them.

    A genome appears once, under the first name it got.
    """
    found = found_by(methods, inputs)
    references = [Reference("unpruned", inputs.unpruned), *(each for own in found.values() for each in own.references)]
    return each_once(references, inputs.space), {name: own.starts for name, own in found.items() if own.starts}
