"""What is lost of texts that are longer than a model is given: how many are cut, and whether what tells stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy
from scipy.stats import chi2

from emoprune.problems.language.labelled import Text
from emoprune.problems.networks.transformers.data.sentences import encoded

__all__ = ["said_of_cut_texts", "telling_tokens"]

SURE = 0.001  # that a token tells classes apart by chance, over all tokens
NAMED = 5  # tokens that are named


def said_of_cut_texts(
    tokenizer: Any, texts: Sequence[Text], labels: NDArray[np.int64], cut: Sequence[list[int]], length: int
) -> list[str]:
    """Return what a person must know of texts that were cut at `length` tokens; nothing if none was.

    Args:
        tokenizer: The model's.
        texts: Whole.
        labels: Their classes, shape (n,).
        cut: What is left of each, in tokens.
        length: Where they were cut.
    """
    full = [row for row, ids in enumerate(cut) if len(ids) >= length]  # the others were too short to be cut
    whole = dict(zip(full, encoded(tokenizer, [texts[row] for row in full], None), strict=True))
    rows = [row for row, ids in whole.items() if len(ids) > len(cut[row])]
    if not rows:
        return []
    longest = max(len(whole[row]) for row in rows)
    said = (
        f"{len(rows):,} of {len(texts):,} texts are longer than length: {length} tokens and are cut there; the longest "
        f"has {longest:,}."
    )
    special = set(tokenizer.all_special_ids)
    telling = telling_tokens([set(whole.get(row, ids)) - special for row, ids in enumerate(cut)], labels)
    lost = [row for row in rows if set(whole[row]) & telling.keys() and not set(cut[row]) & telling.keys()]
    if telling:
        words = ", ".join(repr(tokenizer.decode([token]).strip()) for token in list(telling)[:NAMED])
        said += (
            f" None of the words that tell the classes apart ({words}) is left of {len(lost):,} of them"
            f"{'; give a larger length' if lost else ''}."
        )
    return [said]


def telling_tokens(texts: Sequence[Set[int]], labels: NDArray[np.int64]) -> dict[int, float]:
    """Return the tokens whose presence says something of a text's class, those that say most first.

    By the likelihood ratio (G) of each token's presence against the classes, at a level for all tokens together.
    """
    classes = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=classes).astype(np.float64)
    counted: Counter[tuple[int, int]] = Counter(
        (token, label) for own, label in zip(texts, labels.tolist(), strict=True) for token in own
    )
    tokens = sorted({token for token, _ in counted})
    if not tokens:
        return {}
    present = np.array([[counted[token, label] for label in range(classes)] for token in tokens], dtype=np.float64)
    ratios = _likelihood_ratio(present, sizes)
    least = float(chi2.isf(SURE / len(tokens), max(1, int((sizes > 0).sum()) - 1)))
    order = np.argsort(-ratios, kind="stable")
    return {tokens[number]: float(ratios[number]) for number in order.tolist() if ratios[number] > least}


def _likelihood_ratio(present: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return G of each token, from how many texts of each class have it, shape (tokens, classes)."""
    total, ratio = sizes.sum(), np.zeros(len(present))
    for own in (present, sizes - present):
        expected = own.sum(axis=1, keepdims=True) * sizes / total
        ratio += 2.0 * (xlogy(own, own) - xlogy(own, np.where(expected > 0, expected, 1.0))).sum(axis=1)
    return ratio
