"""Rules with exceptions: learnt from rows as FOLD-RM does, with confidences, and pruned as CON-FOLD does.

A matrix has a row per example and a column per measurement, NaN where nothing was measured; of a column of categories
the numbers are codes. A comparison with what is missing does not hold, whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Counts = NDArray[Any]  # whole numbers, whatever their type

Z = 3.0  # of Wilson's interval, whose centre a confidence is
NO_GAIN = 1e-9  # of information: what is less is rounding


@dataclass(frozen=True, slots=True)
class Literal:
    """A comparison of one column: `<=` or `>` of numbers, `==` or `!=` of categories."""

    column: int
    operator: str
    value: float

    def holds(self, matrix: FloatArray) -> BoolArray:
        """Say for which rows it holds, shape (rows,)."""
        own = matrix[:, self.column]
        if self.operator == "<=":
            return np.asarray(own <= self.value)
        if self.operator == ">":
            return np.asarray(own > self.value)
        same = own == self.value
        return np.asarray(same if self.operator == "==" else ~same & ~np.isnan(own))


@dataclass(frozen=True, slots=True)
class Clause:
    """Literals that all hold, unless an exception does; `number` tells a clause of a set from the others."""

    body: tuple[Literal, ...]
    exceptions: tuple[Clause, ...] = ()
    number: int = 0

    def holds(self, matrix: FloatArray) -> BoolArray:
        """Say for which rows it holds, shape (rows,)."""
        found = np.ones(len(matrix), dtype=np.bool_)
        for literal in self.body:
            found &= literal.holds(matrix)
        for exception in self.exceptions if found.any() else ():
            found &= ~exception.holds(matrix)
        return found

    def walk(self) -> Iterator[Clause]:
        """Yield the clause and then its exceptions, each before its own."""
        yield self
        for exception in self.exceptions:
            yield from exception.walk()


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A class that rows are given where a clause holds; `reached` are the training rows that it was learnt on."""

    label: int
    clause: Clause
    reached: IntArray


Rules = tuple[Rule, ...]


def clauses_of(rules: Rules) -> list[Clause]:
    """Return all clauses of a set, rules and exceptions, each before its own exceptions."""
    return [clause for rule in rules for clause in rule.clause.walk()]


def literals_in(rules: Rules) -> int:
    """Count the literals of a set."""
    return sum(len(clause.body) for clause in clauses_of(rules))


# ---- learning


def learnt(matrix: FloatArray, categorical: BoolArray, labels: IntArray, ratio: float, most: int = 50) -> Rules:
    """Return the rules of FOLD-RM, in the order in which they apply.

    The most frequent class of the rows that are left gets a rule, the rows that it gets right are done with, and so on.

    Args:
        matrix: Shape (rows, columns).
        categorical: Which columns are codes, shape (columns,).
        labels: Classes from 0, shape (rows,).
        ratio: How many rows of other classes a clause may cover for each row of its own, before exceptions.
        most: How many rules there are at most.
    """
    rest, rules = np.arange(len(labels)), list[Rule]()
    while len(rest) and len(rules) < most:
        label = int(np.argmax(np.bincount(labels[rest])))
        own = labels[rest] == label
        wanted, others = rest[own], rest[~own]
        others = others if len(others) else np.flatnonzero(labels != label)
        clause = _grown(matrix, categorical, wanted, others, ratio)
        covered = wanted[:0] if clause is None else wanted[clause.holds(matrix[wanted])]
        if clause is None or not len(covered):
            break
        rules.append(Rule(label, clause, rest))
        rest = np.setdiff1d(rest, covered, assume_unique=True)
    return _numbered(rules)


def _grown(
    matrix: FloatArray, categorical: BoolArray, wanted: IntArray, others: IntArray, ratio: float
) -> Clause | None:
    """Return a clause that holds for some of the wanted rows; None if no literal tells them from the others."""
    body: list[Literal] = []
    while not body or len(others) > ratio * len(wanted):
        literal = _best(matrix, categorical, wanted, others)
        if literal is None:
            break
        body.append(literal)
        wanted, others = (rows[literal.holds(matrix[rows])] for rows in (wanted, others))
    if not body:
        return None
    return Clause(tuple(body), tuple(_exceptions(matrix, categorical, others, wanted, ratio)))


def _exceptions(
    matrix: FloatArray, categorical: BoolArray, wanted: IntArray, others: IntArray, ratio: float
) -> Iterator[Clause]:
    while len(wanted):
        clause = _grown(matrix, categorical, wanted, others, ratio)
        left = wanted if clause is None else wanted[~clause.holds(matrix[wanted])]
        if clause is None or len(left) == len(wanted):
            return
        yield clause
        wanted = left


def _numbered(rules: Sequence[Rule]) -> Rules:
    count = iter(range(10**9))

    def numbered(clause: Clause) -> Clause:
        own = next(count)
        return replace(clause, number=own, exceptions=tuple(numbered(each) for each in clause.exceptions))

    return tuple(replace(rule, clause=numbered(rule.clause)) for rule in rules)


def _best(matrix: FloatArray, categorical: BoolArray, wanted: IntArray, others: IntArray) -> Literal | None:
    """Return the literal with the largest information gain; None if none gains anything."""
    rows = np.concatenate([wanted, others])
    is_wanted = np.arange(len(rows)) < len(wanted)
    plain = _gain(np.array(len(wanted)), np.array(len(others)), len(wanted), len(others), always=True)
    best, found = float(plain) + NO_GAIN, None
    for kind, proposed in ((False, _thresholds), (True, _codes)):
        columns = np.flatnonzero(categorical == kind)
        if len(columns):
            gain, literal = proposed(matrix[np.ix_(rows, columns)], columns, is_wanted)
            if gain > best:
                best, found = gain, literal
    return found


def _gain(covered: Counts, wrong: Counts, wanted: int, others: int, *, always: bool = False) -> FloatArray:
    """Return minus the entropy that is left when `covered` wanted rows and `wrong` others are taken, broadcast."""
    missed, spared = wanted - covered, others - wrong
    total = wanted + others
    entropy = sum(
        xlogy(part, np.divide(part, part + other, out=np.ones_like(part, dtype=np.float64), where=part + other > 0))
        for part, other in ((covered, wrong), (wrong, covered), (spared, missed), (missed, spared))
    )
    useful = (covered > 0) & (covered + spared >= wrong + missed)
    return np.where(useful | always, entropy / total, -np.inf)


def _thresholds(values: FloatArray, columns: IntArray, is_wanted: BoolArray) -> tuple[float, Literal | None]:
    """Return the best of `<=` and `>` over columns of numbers, shape (rows, columns)."""
    order = np.argsort(values, axis=0, kind="stable")  # NaN comes last
    ordered = np.take_along_axis(values, order, axis=0)
    present = ~np.isnan(ordered)
    own = is_wanted[order]
    covered, wrong = np.cumsum(own & present, axis=0), np.cumsum(~own & present, axis=0)
    cuts = np.zeros_like(present)
    cuts[:-1] = present[1:] & (ordered[1:] > ordered[:-1])
    counts = (int(is_wanted.sum()), int((~is_wanted).sum()))
    below = np.where(cuts, _gain(covered, wrong, *counts), -np.inf)
    above = np.where(cuts, _gain(covered[-1] - covered, wrong[-1] - wrong, *counts), -np.inf)
    both = np.stack([below, above])
    side, row, place = np.unravel_index(int(np.argmax(both)), both.shape)
    gain = float(both[side, row, place])
    if gain == -np.inf:
        return gain, None
    value = _between(float(ordered[row, place]), float(ordered[row + 1, place]))
    return gain, Literal(int(columns[place]), "<=" if side == 0 else ">", value)


def _codes(values: FloatArray, columns: IntArray, is_wanted: BoolArray) -> tuple[float, Literal | None]:
    """Return the best of `==` and `!=` over columns of codes, shape (rows, columns)."""
    best: tuple[float, Literal | None] = (-np.inf, None)
    counts = (int(is_wanted.sum()), int((~is_wanted).sum()))
    for column, own in zip(columns.tolist(), values.T, strict=True):
        codes, place = np.unique(own[~np.isnan(own)], return_inverse=True)
        if len(codes) == 0:
            continue
        wanted_here = is_wanted[~np.isnan(own)]
        covered, wrong = (np.bincount(place, mask, len(codes)) for mask in (wanted_here, ~wanted_here))
        sides = [_gain(covered, wrong, *counts), _gain(covered.sum() - covered, wrong.sum() - wrong, *counts)]
        side, code = np.unravel_index(int(np.argmax(sides)), (2, len(codes)))
        if sides[side][code] > best[0]:
            best = (float(sides[side][code]), Literal(column, "==" if side == 0 else "!=", float(codes[code])))
    return best


def _between(low: float, high: float) -> float:
    """Return the number of fewest digits that is at least `low` and below `high`."""
    middle = low + (high - low) / 2
    for digits in range(1, 17):
        rounded = float(f"{middle:.{digits}g}")
        if low <= rounded < high:
            return rounded
    return low


# ---- confidence and pruning


def wilson(right: float | FloatArray, covered: float | FloatArray, z: float = Z) -> FloatArray:
    """Return the centre of Wilson's interval: how far a rule is to be trusted that is right in so many rows."""
    return np.asarray((right + z * z / 2) / (covered + z * z))


def _confidence(clause: Clause, matrix: FloatArray, own: BoolArray) -> float:
    held = clause.holds(matrix)
    return float(wilson(float(np.count_nonzero(held & own)), float(np.count_nonzero(held))))


def improved(clause: Clause, matrix: FloatArray, own: BoolArray, least: float) -> Clause:
    """Drop the exceptions that add less than `least` to a clause's confidence; those that stay are treated likewise.

    Args:
        clause: It.
        matrix: The rows that reach it, shape (rows, columns).
        own: Which of them are of its class, shape (rows,).
        least: An improvement below it is not worth an exception.
    """
    kept = list(clause.exceptions)
    for exception in clause.exceptions:
        without = [each for each in kept if each is not exception]
        gain = _confidence(replace(clause, exceptions=tuple(kept)), matrix, own) - _confidence(
            replace(clause, exceptions=tuple(without)), matrix, own
        )
        kept = kept if gain >= least else without
    under = replace(clause, exceptions=()).holds(matrix)
    rows, swapped = matrix[under], ~own[under]
    return replace(clause, exceptions=tuple(improved(each, rows, swapped, least) for each in kept))


def pruned(rules: Rules, matrix: FloatArray, labels: IntArray, improvement: float, confidence: float) -> Rules:
    """Prune as CON-FOLD does: exceptions that improve too little, then rules that are trusted too little.

    Args:
        rules: They know which training rows reached them.
        matrix: All training rows.
        labels: Their classes.
        improvement: What an exception must add to a confidence; 0 keeps all.
        confidence: What a rule's own must be; 0 keeps all.
    """
    found = []
    for rule in rules:
        rows, own = matrix[rule.reached], labels[rule.reached] == rule.label
        clause = improved(rule.clause, rows, own, improvement) if improvement > 0 else rule.clause
        if confidence <= 0 or _confidence(clause, rows, own) >= confidence:
            found.append(replace(rule, clause=clause))
    return tuple(found)


# ---- what a set of rules says


@dataclass(frozen=True, slots=True, eq=False)
class Trusted:
    """Rules with a class and a confidence each; the last of both is for rows that no rule covers."""

    rules: Rules
    labels: IntArray
    confidences: FloatArray
    shares: FloatArray  # of the classes among the training rows

    @classmethod
    def of(cls, rules: Rules, matrix: FloatArray, labels: IntArray, classes: int) -> Trusted:
        """Return rules with what training rows say of them; a row counts for the first rule that covers it."""
        first = first_covering(rules, matrix)
        counts = np.zeros((len(rules) + 1, classes))
        np.add.at(counts, (first, labels), 1)
        shares = np.bincount(labels, minlength=classes) / len(labels)
        rest = counts[-1] if counts[-1].any() else shares
        own = np.array([*(rule.label for rule in rules), int(np.argmax(rest))], dtype=np.int64)
        right = counts[np.arange(len(own)), own]
        return cls(rules, own, wilson(right, counts.sum(axis=1)), shares)

    def probabilities(self, matrix: FloatArray) -> FloatArray:
        """Return the probability of each class, shape (rows, classes)."""
        return self.table[first_covering(self.rules, matrix)]

    @property
    def table(self) -> FloatArray:
        """The probabilities that each rule gives, shape (rules + 1, classes): its class's is its confidence."""
        others = np.tile(self.shares, (len(self.labels), 1))
        others[np.arange(len(self.labels)), self.labels] = 0.0
        sums = others.sum(axis=1, keepdims=True)
        even = (1.0 - np.eye(len(self.shares))[self.labels]) / max(len(self.shares) - 1, 1)
        spread = np.where(sums > 0, others / np.where(sums > 0, sums, 1.0), even)
        table = spread * (1.0 - self.confidences)[:, None]
        table[np.arange(len(self.labels)), self.labels] = self.confidences
        return np.asarray(table / table.sum(axis=1, keepdims=True))


def first_covering(rules: Rules, matrix: FloatArray) -> IntArray:
    """Return the place of the first rule that covers each row, the number of rules where none does, shape (rows,)."""
    found = np.full(len(matrix), len(rules), dtype=np.int64)
    open_rows = np.arange(len(matrix))
    for place, rule in enumerate(rules):
        held = rule.clause.holds(matrix[open_rows])
        found[open_rows[held]] = place
        open_rows = open_rows[~held]
    return found
