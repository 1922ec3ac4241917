"""What a method may look at to pick prompts, and what it promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Found, Reference, ReferenceMethod
from emoprune.space import IntArray, Space

__all__ = ["PromptReference", "ReferenceInputs", "Worth"]

Worth = Callable[[IntArray, float], float | None]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """A prompt to be pruned, what its tokens say of themselves, and what can be measured of it.

    Attributes:
        space: A bit per token of the prompt; placeholders are locked, and what is to be kept.
        rng: Where all randomness comes from; every method gets the same, whatever others there are.
        worth: What a genome, shape (genes,), is worth on the search part: above zero, and the larger the better; None
            as soon as that is known to be less than the second argument. Each call measures one prompt.
        most: How many prompts a method may measure.
        surprisal: Returns how surprising each token is to the model in nats, shape (genes,); it raises a ConfigError
            where the model cannot say.
        ended: What methods that measured prompts ended with, before this one was asked.
    """

    space: Space
    rng: np.random.Generator
    worth: Worth
    most: int
    surprisal: Callable[[], NDArray[np.float64]]
    ended: tuple[Reference, ...] = ()


class PromptReference(ReferenceMethod[ReferenceInputs], Protocol):
    """Picks prompts without a search; one that measures some gives first what it ended with, then what was on the way.

    Nothing is measured for it in generation 0, so what it finds has no starts.
    """

    # Methods go to work from the lowest to the highest; one that does not say is at 5, and of equals the first that the
    # config names begins. Ours: 0 asks what the model may be unable to say, 1 to 3 measure, 9 looks at what all ended
    # with.
    order: ClassVar[int]

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return references, of genomes that are legal in the space, and what a person should know of them."""
        ...
