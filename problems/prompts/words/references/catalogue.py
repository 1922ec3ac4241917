"""The references of words that a user gets unless others are named, and what methods make of a vocabulary."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emoprune.contracts import Reference
from emoprune.problems.prompts.words.references.contract import ReferenceInputs
from emoprune.problems.storage.found_references import Methods, found_unmeasured
from emoprune.space import IntArray

__all__ = ["BY_DEFAULT", "references_of"]

BY_DEFAULT = ("most-influential", "random")


def references_of(
    methods: Methods, inputs: ReferenceInputs, canonical: Callable[[IntArray], IntArray]
) -> tuple[Reference, ...]:
    """Return the prompt without words, then what the methods pick.

    Raises:
        ContractError: A method wants genomes measured, or picks one that is not legal.
    """
    references = [Reference("empty", inputs.with_words(np.arange(0)))]
    for name, method in methods.items():
        own = replace(inputs, rng=copy.deepcopy(inputs.rng))
        references += found_unmeasured(name, method, own, "nothing but the words' influence is measured before")
    genomes = canonical(np.stack([own.genome for own in references]))
    return tuple(Reference(own.name, genome) for own, genome in zip(references, genomes, strict=True))
