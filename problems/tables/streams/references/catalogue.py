"""The references of streams that a user gets unless others are named, and the order in which they come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emoprune.contracts import Reference
from emoprune.problems.storage.found_references import Methods, each_once, found_unmeasured, in_turns
from emoprune.problems.tables.streams.references.at_shares import AtShares
from emoprune.problems.tables.streams.references.contract import ReferenceInputs

__all__ = ["BY_DEFAULT", "references_of"]

BY_DEFAULT = ("once", "drift", "always", "information")


def references_of(methods: Methods, inputs: ReferenceInputs, seed: int) -> tuple[Reference, ...]:
    """Return the policy that keeps all columns, then what the methods pick, those at shares in turns, share by share.

    Each draws for itself, so that leaving one out does not change the others. Policies that do the same appear once.

    Raises:
        ContractError: A method wants genomes measured, or picks one that is not legal.
    """
    found = {}
    for name, method in methods.items():
        own = replace(inputs, rng=np.random.default_rng([seed, *name.encode()]))
        found[name] = found_unmeasured(name, method, own, "nothing is measured before a stream is searched")
    references = [Reference("unpruned", inputs.genes.unpruned), *in_turns(methods, found, AtShares)]
    return each_once(references, inputs.space, inputs.genes.canonical)
