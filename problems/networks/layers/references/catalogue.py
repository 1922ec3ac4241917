"""The references of layers that a user gets unless others are named, and the order in which they come."""

from __future__ import annotations

from emoprune.contracts import Reference, Starts
from emoprune.problems.networks.channels.references.target import AtTargets
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.storage.found_references import Methods, each_once, found_by, in_turns

__all__ = ["OF_BITS", "OF_SHARES", "first_references"]

OF_SHARES = ("uniform", "global-magnitude", "erk", "balanced", "pyramidal", "pq-0_5-1", "pq-1-2")
OF_BITS = ("uniform", "largest-first", "first-order")


def first_references(methods: Methods, inputs: LayerReferenceInputs) -> tuple[tuple[Reference, ...], dict[str, Starts]]:
    """Return the unpruned genome and what the methods pick without measuring; and what to measure for the rest of them.

    Methods with targets that follow each other take turns, target by target. A genome appears once, under the first
    name it got.
    """
    found = found_by(methods, inputs)
    turns = in_turns(methods, {name: own.references for name, own in found.items()}, AtTargets)
    references = each_once([Reference("unpruned", inputs.unpruned), *turns], inputs.space)
    return references, {name: own.starts for name, own in found.items() if own.starts}
