"""A prompt of the most influential words."""

from __future__ import annotations

import numpy as np

from emoprune.contracts import Found, Reference, about
from emoprune.problems.prompts.words.references.contract import ReferenceInputs

__all__ = ["MostInfluential"]


@about("pruning", ["words"], serves=["prompt-vocabulary"], cost="nothing beyond the vocabulary's pruning")
class MostInfluential:
    """The words of most influence, one in each slot, in the order of their influence."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return one reference; with fewer words than slots it has all of them."""
        places = np.arange(min(len(inputs.space), len(inputs.words)))
        return Found((Reference("most-influential", inputs.with_words(places)),))
