"""How much a single word before the input changes the answers, and which words are kept for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError, RunCorrupt

__all__ = ["Influence", "influence_of", "measured_influences", "most_influential"]

FloatArray = NDArray[np.float64]
Influence = Literal["reward", "kl", "random"]


def influence_of(kind: Influence, with_word: FloatArray, without: FloatArray, gold: NDArray[np.int64]) -> float:
    """Return the sum over examples of what a word changes.

    By `reward` it is by how much less surprising it makes the right answers; by `kl` the Kullback-Leibler divergence of
    the answers with the word from those without. Logits have shape (examples, choices); the published code passes
    probabilities through a softmax once more before it takes their logarithm, which is not done here.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).
    """
    if kind not in get_args(Influence):
        raise ConfigError(f"influence: expected one of {', '.join(get_args(Influence))}, found {kind!r}")
    own, other = (each - np.logaddexp.reduce(each, axis=1, keepdims=True) for each in (with_word, without))
    if kind == "kl":
        return float((np.exp(own) * (own - other)).sum())
    rows = np.arange(len(gold))
    return float((own[rows, gold] - other[rows, gold]).sum())


def measured_influences(words: Sequence[str], measure: Callable[[str], float], path: Path) -> FloatArray:
    """Return the influence of each word; what is measured is written to `path` at once, and never measured again.

    Raises:
        RunCorrupt: The file is of another form.
    """
    known = _known(path)
    with path.open("a", encoding="utf-8") as file:
        for word in words:
            if word not in known:
                known[word] = measure(word)
                file.write(json.dumps([word, known[word]]) + "\n")
                file.flush()
    return np.array([known[word] for word in words])


def _known(path: Path) -> dict[str, float]:
    """Read what is measured already; a last line that a kill cut off is cut off here, too."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    whole, _, rest = text.rpartition("\n")
    if rest:
        path.write_text(f"{whole}\n" if whole else "", encoding="utf-8")
    known = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            word, value = json.loads(line)
            known[str(word)] = float(value)
        except (ValueError, TypeError) as error:
            raise RunCorrupt(
                f"{path.name}, line {number}: expected a word and its influence, found {line[:60]!r}; delete the line, "
                "and it is measured again"
            ) from error
    return known


def most_influential(influences: FloatArray, percentile: float) -> NDArray[np.int64]:
    """Return the places of what lies strictly above a percentile, the most influential first.

    Where nothing does, because the highest influences are all alike, these are kept.
    """
    bound = np.percentile(influences, percentile)
    kept = np.flatnonzero(influences > bound)
    if len(kept) == 0:
        kept = np.flatnonzero(influences >= bound)
    return kept[np.argsort(-influences[kept], kind="stable")]
