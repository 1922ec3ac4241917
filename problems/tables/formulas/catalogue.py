"""Every formula that can be made of some features, by number: counted and drawn from without listing them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.formulas.formula import Formula, Term, sources
from emoprune.problems.tables.formulas.operators import OPERATORS, Takes

__all__ = ["Catalogue", "Kinds", "check_operators"]


@dataclass(frozen=True, slots=True)
class Kinds:
    """Features that are numbers, and features that are categories; ordinal columns are both."""

    numbers: tuple[Term, ...]
    categories: tuple[Term, ...]
    either: tuple[Term, ...] = field(init=False)

    def __post_init__(self) -> None:
        numbers = frozenset(self.numbers)
        alone = (each for each in self.categories if each not in numbers)
        object.__setattr__(self, "either", (*self.numbers, *alone))

    def taking(self, takes: Takes) -> tuple[Term, ...]:
        """Return the features that an input may be."""
        if takes is Takes.NUMBER:
            return self.numbers
        if takes is Takes.CATEGORY:
            return self.categories
        return self.either

    def with_formulas(self, formulas: Sequence[Formula]) -> Kinds:
        """Return the same features and more, made by formulas."""
        categories = tuple(each for each in formulas if OPERATORS[each.operator].gives_category)
        numbers = tuple(each for each in formulas if not OPERATORS[each.operator].gives_category)
        return Kinds((*self.numbers, *numbers), (*self.categories, *categories))


def check_operators(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of operators, all of them if none is given.

    Raises:
        ConfigError: There is no such operator.
    """
    for name in names:
        if name not in OPERATORS:
            raise ConfigError(f"operators: no operator is called {name!r}{nearest(name, list(OPERATORS))}")
    return tuple(dict.fromkeys(names)) or tuple(OPERATORS)


@dataclass(frozen=True)
class Catalogue:
    """The formulas of `operators` over features, numbered operator by operator.

    Commuting inputs count once. A number whose inputs are made of the very same columns stands for no formula, so
    `size` is an upper bound.

    Args:
        kinds: The features.
        operators: The operators' names.
        older: Those of the features of which alone no formula is made: what is made of them is known already.
    """

    kinds: Kinds
    operators: tuple[str, ...] = tuple(OPERATORS)
    older: Kinds = Kinds((), ())
    counts: tuple[int, ...] = field(init=False)
    _taking: Mapping[Takes, tuple[Term, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_taking", {takes: self._older_first(takes) for takes in Takes})
        object.__setattr__(self, "counts", tuple(self._count(name) for name in self.operators))

    def _older_first(self, takes: Takes) -> tuple[Term, ...]:
        return tuple(dict.fromkeys((*self.older.taking(takes), *self.kinds.taking(takes))))

    def _count(self, name: str) -> int:
        lengths, known = [len(own) for own in self.inputs(name)], self.known(name)
        if OPERATORS[name].commutes:
            return math.comb(lengths[0], 2) - math.comb(known[0], 2)
        return math.prod(lengths) - math.prod(known)

    def inputs(self, name: str) -> list[tuple[Term, ...]]:
        """Return the features that each of an operator's inputs may be, the older ones first."""
        return [self._taking[takes] for takes in OPERATORS[name].takes]

    def known(self, name: str) -> list[int]:
        """Return how many features of each of an operator's inputs are older ones."""
        return [len(self.older.taking(takes)) for takes in OPERATORS[name].takes]

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return sum(self.counts)

    def of(self, name: str, number: int) -> Formula | None:
        """Return an operator's formula by its number, counted from 0; None where it stands for none."""
        operator = OPERATORS[name]
        inputs, known = self.inputs(name), self.known(name)
        if len(inputs) == 1:
            return Formula(name, (inputs[0][known[0] + number],))
        before = math.comb(known[0], 2)
        places = _pair(before + number) if operator.commutes else _place(number, len(inputs[1]), known)
        chosen = inputs[0][places[0]], inputs[1][places[1]]
        return None if sources(chosen[0]) == sources(chosen[1]) else Formula(name, chosen)

    def __iter__(self) -> Iterator[Formula]:
        for name, count in zip(self.operators, self.counts, strict=True):
            for number in range(count):
                formula = self.of(name, number)
                if formula is not None:
                    yield formula

    def drawn(self, count: int, rng: np.random.Generator) -> list[Formula]:
        """Return at most `count` different formulas: all of them, or else a share of each operator, drawn at random."""
        if self.size <= count:
            return list(self)
        found: dict[Formula, None] = {}
        for name, quota in zip(self.operators, _quotas(self.counts, count), strict=True):
            total = self.counts[self.operators.index(name)]
            numbers = range(total) if quota >= total else _without_repeats(total, quota, rng)
            found |= dict.fromkeys(formula for number in numbers if (formula := self.of(name, number)) is not None)
        return list(found)


def _pair(number: int) -> tuple[int, int]:
    """Return the pair (smaller, larger) of that number in the order (0, 1), (0, 2), (1, 2), (0, 3), ..."""
    larger = (1 + math.isqrt(1 + 8 * number)) // 2
    return number - larger * (larger - 1) // 2, larger


def _place(number: int, width: int, known: Sequence[int]) -> tuple[int, int]:
    """Return the row and column of that number in a table of so many columns, whose first corner is left out."""
    beside = known[0] * (width - known[1])  # the numbers to the right of the corner
    if number < beside:
        row, column = divmod(number, width - known[1])
        return row, known[1] + column
    row, column = divmod(number - beside, width)
    return known[0] + row, column


def _quotas(counts: Sequence[int], total: int) -> list[int]:
    """Share `total` out evenly; what an operator cannot use goes to the others."""
    quotas = [0] * len(counts)
    left, open_ones = total, [place for place, count in enumerate(counts) if count]
    while left and open_ones:
        share, rest = divmod(left, len(open_ones))
        given = [min(share + (turn < rest), counts[place] - quotas[place]) for turn, place in enumerate(open_ones)]
        for place, more in zip(open_ones, given, strict=True):
            quotas[place] += more
        left -= sum(given)
        open_ones = [place for place in open_ones if quotas[place] < counts[place]]
    return quotas


def _without_repeats(total: int, count: int, rng: np.random.Generator) -> list[int]:
    """Return `count` different numbers below `total`, which may be far too large to be shuffled."""
    if total <= 4 * count:
        return sorted(rng.permutation(total)[:count].tolist())
    chosen: set[int] = set()
    while len(chosen) < count:
        chosen |= set(rng.integers(0, total, count - len(chosen)).tolist())
    return sorted(chosen)
