"""Which themes a column of texts has: learnt from its texts alone, whatever the target is."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.utils.extmath import randomized_svd

from emoprune.problems.tables.standalone.texts import Themes, counted

__all__ = ["themes_in"]

FloatArray = NDArray[np.float64]

THEMES = 10
TEXTS = 5_000  # so many are learnt from
GRAMS = 20_000  # so many n-grams at most, those in most texts
FEWEST = 2  # texts that have an n-gram: one that stands in a single text says nothing of others
TURNS = 100
DECIMALS = 3  # of weights: readable, and the same on machines whose last digits differ


def themes_in(texts: NDArray[np.object_]) -> Themes | None:
    """Return the themes of texts, the one that differs most first; None if no n-gram is in several of them.

    Their n-grams, weighted by tf-idf, are projected on the directions in which texts differ most (latent semantic
    analysis), which are turned so that each has few n-grams of large weight (varimax).
    """
    sampled = _sampled(texts)
    known = {text: counted(text) for text in set(sampled)}
    found = [known[text] for text in sampled]
    frequent = Counter(gram for each in found for gram in each)
    ranked = sorted(((-count, gram) for gram, count in frequent.items() if count >= FEWEST and "\0" not in gram))
    if len(ranked) < 2 or len(found) < 2:
        return None
    grams = np.array([gram for _, gram in ranked[:GRAMS]])
    shares = np.array([-count for count, _ in ranked[:GRAMS]]) / len(found)
    rarity = np.round(1 - np.log(shares), DECIMALS)
    matrix = _weighted(found, grams, rarity)
    directions = randomized_svd(matrix, min(THEMES, *matrix.shape), n_iter=7, random_state=0)[2].T
    turned = _readable(directions @ _varimax(directions), matrix)
    kept = turned.any(axis=1)
    return Themes(grams[kept], rarity[kept], turned[kept])


def _sampled(texts: NDArray[np.object_]) -> list[str]:
    """Return texts in order, as often as they are there, or each so many-th of them."""
    present = sorted(text for text in texts if text is not None)
    return [present[place * len(present) // TEXTS] for place in range(TEXTS)] if len(present) > TEXTS else present


def _weighted(found: list[dict[str, int]], grams: NDArray[np.str_], rarity: FloatArray) -> csr_array:
    """Return how much each n-gram counts in each text, shape (texts, grams), in rows of length 1."""
    places = {gram: place for place, gram in enumerate(grams.tolist())}
    rows = [{places[gram]: count for gram, count in each.items() if gram in places} for each in found]
    columns = np.array([place for row in rows for place in row], dtype=np.int64)
    lengths = [len(row) for row in rows]
    counts = np.array([count for row in rows for count in row.values()]) * rarity[columns]
    of_row = np.repeat(np.arange(len(rows)), lengths)
    norms = np.sqrt(np.bincount(of_row, counts**2, len(rows)))
    return csr_array((counts / norms[of_row], (of_row, columns)), shape=(len(rows), len(grams)))


def _varimax(directions: FloatArray) -> FloatArray:
    """Return the rotation after which squared loadings vary most within each direction (Kaiser, 1958)."""
    turn = np.eye(directions.shape[1])
    for _ in range(TURNS):
        turned = directions @ turn
        left, _, right = np.linalg.svd(directions.T @ (turned**3 - turned * (turned**2).mean(axis=0)))
        turn = left @ right
    return turn


def _readable(directions: FloatArray, matrix: csr_array) -> FloatArray:
    """Return directions by how much texts differ in them, each with 1 as its largest weight."""
    order = np.argsort(-np.asarray(matrix @ directions).var(axis=0), kind="stable")
    ordered = directions[:, order]
    largest = ordered[np.abs(ordered).argmax(axis=0), np.arange(len(order))]
    return np.asarray(np.round(ordered / largest, DECIMALS))
