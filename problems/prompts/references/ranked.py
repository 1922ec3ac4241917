"""Deletion at a rate: of the least surprising tokens, or of random ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.scorers.contract import Scorer
from emoprune.problems.prompts.spans import Spans
from emoprune.problems.prompts.template import MASK
from emoprune.space import IntArray, Space

__all__ = ["kept_by", "random_order", "surprisal_of"]

FloatArray = NDArray[np.float64]


def kept_by(scores: FloatArray, space: Space, share: float) -> IntArray:
    """Return the genome that keeps a `share` of the free genes, those with the highest scores, at least one."""
    free = np.flatnonzero(space.free)
    count = max(1, round(share * len(free)))
    genome = np.where(space.free, 0, space.full)
    genome[free[np.argsort(-scores[free], kind="stable")[:count]]] = 1
    return genome


def random_order(space: Space, rng: np.random.Generator) -> FloatArray:
    """Return random scores, shape (genes,)."""
    return rng.random(len(space))


def surprisal_of(spans: Spans, example: Example, scorer: Scorer) -> FloatArray:
    """Return how surprising each span of a prompt is to the model, shape (spans,), the prompt being about `example`.

    What a model expects anyway carries little, so compression by perplexity deletes the least surprising tokens.

    Source: LLMLingua (arXiv 2310.05736), without its budgets for parts of a prompt.
    """
    filled = iter(example.inputs)
    texts = [
        text if not slot else ("" if text == f"{{{MASK}}}" else next(filled))
        for text, slot in zip(spans.texts, spans.slots.tolist(), strict=True)
    ]
    scores = scorer.token_scores("".join(texts))
    starts = np.cumsum([0, *map(len, texts)])
    # A token may begin before the space that its span begins with, or reach over two spans; its last character says
    # where it belongs.
    owners = np.searchsorted(starts, np.maximum(scores.spans[:, 1] - 1, 0), side="right") - 1
    surprisal = np.zeros(len(texts))
    finite = np.where(np.isfinite(scores.surprisal), scores.surprisal, 1e3)
    np.add.at(surprisal, np.minimum(owners, len(texts) - 1), finite)
    return surprisal
