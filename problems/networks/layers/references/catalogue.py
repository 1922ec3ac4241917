"""The references of layers that a user gets unless others are named, and the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby, zip_longest

from emoprune.contracts import Found, Reference, Starts
from emoprune.problems.networks.channels.references.target import AtTargets
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.storage.found_references import Methods, each_once, found_by

__all__ = ["OF_BITS", "OF_SHARES", "first_references"]

OF_SHARES = ("uniform", "global-magnitude", "erk", "balanced", "pyramidal", "pq-0_5-1", "pq-1-2")
OF_BITS = ("uniform", "largest-first", "first-order")


def first_references(methods: Methods, inputs: LayerReferenceInputs) -> tuple[tuple[Reference, ...], dict[str, Starts]]:
    """Return the unpruned genome and what the methods pick without measuring; and what to measure for the rest of them.

    Methods with targets that follow each other take turns, target by target. A genome appears once, under the first
    name it got.
    """
    found = found_by(methods, inputs)
    references = each_once([Reference("unpruned", inputs.unpruned), *_in_turns(methods, found)], inputs.space)
    return references, {name: own.starts for name, own in found.items() if own.starts}


def _in_turns(methods: Methods, found: Mapping[str, Found]) -> Iterator[Reference]:
    for with_targets, names in groupby(methods, key=lambda name: isinstance(methods[name], AtTargets)):
        lists = [found[name].references for name in names]
        for turn in zip_longest(*lists) if with_targets else lists:
            yield from (reference for reference in turn if reference is not None)
