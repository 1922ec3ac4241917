"""Deletion of what the model expects anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Found, Paper, about
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.references.contract import ReferenceInputs
from emoprune.problems.prompts.references.ranked import at_shares
from emoprune.problems.prompts.scorers.contract import Scorer
from emoprune.problems.prompts.spans import Spans
from emoprune.problems.prompts.template import MASK, USER

__all__ = ["Perplexity", "surprisal_of"]


@about(
    "pruning",
    ["tokens"],
    serves=["prompt-tokens"],
    cost="one pass over the prompt about one example",
    papers=[Paper("LLMLingua", "2310.05736")],
)
@dataclass(frozen=True, slots=True)
class Perplexity:
    """Delete the tokens that surprise the model least, down to 75, 50 and 25 % of them.

    What a model expects anyway carries little.

    Source: LLMLingua (arXiv 2310.05736), without its budgets for parts of a prompt.
    """

    order: ClassVar[int] = 0

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each share.

        Raises:
            ConfigError: The model cannot say how surprising its tokens are.
        """
        return Found(at_shares("perplexity", inputs.surprisal(), inputs.space))


def surprisal_of(spans: Spans, example: Example, scorer: Scorer) -> NDArray[np.float64]:
    """Return how surprising each span of a prompt is to the model, shape (spans,), the prompt being about `example`."""
    texts = spans.filled({MASK: "", USER: "\n\n"}, example.inputs)
    scores = scorer.token_scores("".join(texts))
    starts = np.cumsum([0, *map(len, texts)])
    # A token may begin before the space that its span begins with, or reach over two spans; its last character says
    # where it belongs.
    owners = np.searchsorted(starts, np.maximum(scores.spans[:, 1] - 1, 0), side="right") - 1
    surprisal = np.zeros(len(texts))
    finite = np.where(np.isfinite(scores.surprisal), scores.surprisal, 1e3)
    np.add.at(surprisal, np.minimum(owners, len(texts) - 1), finite)
    return surprisal
