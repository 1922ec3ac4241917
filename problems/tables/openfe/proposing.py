"""Which formulas are looked at when there are more than can be: half at random, half like the best of those."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.formulas.catalogue import Catalogue
from emoprune.problems.tables.formulas.formula import Formula, Term, sources
from emoprune.problems.tables.formulas.operators import OPERATORS
from emoprune.problems.tables.openfe.screening import Screen

__all__ = ["guided"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FLOOR = 0.02  # of the weight of the best: whatever was unlucky can still be drawn
ATTEMPTS = 4  # draws per formula wanted, because a draw may be known or none


def guided(
    catalogue: Catalogue, budget: int, screen: Screen, places: IntArray, rng: np.random.Generator
) -> list[Formula]:
    """Return at most `budget` different formulas of a catalogue: all of them if they fit.

    Otherwise half are drawn evenly over the operators and scored on `places` of the rows; the other half takes
    operators and inputs as often as they were in good ones.
    """
    if catalogue.size <= budget:
        return list(catalogue)
    first = catalogue.drawn(max(1, budget // 2), rng)
    gains = np.maximum(screen.gains(first, places), 0.0)
    found = dict.fromkeys(first)
    for formula in _alike(catalogue, first, gains, ATTEMPTS * budget, rng):
        if len(found) >= budget:
            break
        found.setdefault(formula)
    return list(found)


def _alike(
    catalogue: Catalogue, scored: Sequence[Formula], gains: FloatArray, count: int, rng: np.random.Generator
) -> list[Formula]:
    """Return formulas drawn by the weights of operators and inputs; some of them come twice."""
    by_operator: dict[str, float] = {}
    by_input: dict[Term, float] = {}
    for formula, gain in zip(scored, gains.tolist(), strict=True):
        by_operator[formula.operator] = max(by_operator.get(formula.operator, 0.0), gain)
        for each in formula.inputs:
            by_input[each] = max(by_input.get(each, 0.0), gain)
    usable = [name for name, total in zip(catalogue.operators, catalogue.counts, strict=True) if total]
    names = rng.choice(len(usable), count, p=_shares([by_operator.get(name, 0.0) for name in usable]))
    made: list[Formula] = []
    for place, own in zip(*np.unique(names, return_counts=True), strict=True):
        made += _of_operator(catalogue, usable[place], int(own), by_input, rng)
    return [made[place] for place in rng.permutation(len(made))]


def _of_operator(
    catalogue: Catalogue, name: str, count: int, by_input: dict[Term, float], rng: np.random.Generator
) -> list[Formula]:
    operator = OPERATORS[name]
    inputs, known = catalogue.inputs(name), catalogue.known(name)
    drawn = [rng.choice(len(own), count, p=_shares([by_input.get(each, 0.0) for each in own])) for own in inputs]
    if operator.commutes:  # in the order of the catalogue
        drawn = [np.minimum(*drawn), np.maximum(*drawn)]
    new = np.any([places >= first for places, first in zip(drawn, known, strict=True)], axis=0)
    drawn = [places[new] for places in drawn]
    made = [tuple(own[place] for own, place in zip(inputs, places, strict=True)) for places in zip(*drawn, strict=True)]
    return [Formula(name, each) for each in made if len(each) == 1 or sources(each[0]) != sources(each[1])]


def _shares(weights: Sequence[float]) -> FloatArray:
    array = np.asarray(weights)
    best = array.max(initial=0.0)
    lifted = array + FLOOR * best if best > 0 else np.ones(len(array))
    return np.asarray(lifted / lifted.sum())
