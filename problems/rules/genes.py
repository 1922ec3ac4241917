"""Genomes of rules: which rules and exceptions stay, and two thresholds that let many go at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.rules.standalone.fold import Clause, Rule, Rules, clauses_of
from emoprune.space import Gene, GeneKind, Group, IntArray, Space

__all__ = ["CONFIDENCES", "FIRST_BIT", "IMPROVEMENTS", "RuleGenes"]

# Thresholds from strict to none, so that the highest level keeps most.
IMPROVEMENTS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.0)
CONFIDENCES = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.0)
FIRST_BIT = 2

BoolArray = NDArray[np.bool_]
Item = TypeVar("Item")
Same = Callable[[Item, Item], Item | None]
Pruning = Callable[[float, float], Rules]  # improvement and confidence to what is left of all rules


@dataclass(frozen=True, slots=True, eq=False)
class RuleGenes:
    """Genomes over a set of rules.

    A genome whose thresholds prune stands for the rules that are left, so its representative has their bits and no
    thresholds: they are a way to vary many bits at once.

    Args:
        rules: All of them, their clauses numbered from 0.
        pruned: What is left of all rules at two thresholds.
    """

    rules: Rules
    pruned: Pruning
    space: Space = field(init=False)
    _parents: Sequence[int] = field(init=False)  # by clause, what it is an exception of, or -1
    _masks: BoolArray = field(init=False)  # (improvements, confidences, clauses)
    _repeated: bool = field(init=False)  # whether two clauses that may stand for each other say the same

    def __post_init__(self) -> None:
        genes = [
            Gene("least improvement of an exception", len(IMPROVEMENTS), GeneKind.ORDERED),
            Gene("least confidence of a rule", len(CONFIDENCES), GeneKind.ORDERED),
        ]
        for number, rule in enumerate(self.rules, start=1):
            own = list(rule.clause.walk())
            genes += [Gene(f"rule {number}" + (f", exception {place}" if place else "")) for place in range(len(own))]
        parents = [-1] * (len(genes) - FIRST_BIT)
        for clause in clauses_of(self.rules):
            for exception in clause.exceptions:
                parents[exception.number] = clause.number
        bits = Group("rules", tuple(range(FIRST_BIT, len(genes))))
        masks = [[self._stay(self.pruned(least, sure)) for sure in CONFIDENCES] for least in IMPROVEMENTS]
        said: list[list[object]] = [[(rule.label, rule.clause.body) for rule in self.rules]]
        said += [[each.body for each in clause.exceptions] for clause in clauses_of(self.rules)]
        object.__setattr__(self, "space", Space(tuple(genes), (bits,)))
        object.__setattr__(self, "_parents", parents)
        object.__setattr__(self, "_masks", np.array(masks))
        object.__setattr__(self, "_repeated", any(len(set(own)) < len(own) for own in said))

    def _stay(self, rules: Rules) -> BoolArray:
        """Return which clauses of all stay in some rules, shape (clauses,)."""
        found = np.zeros(len(clauses_of(self.rules)), dtype=np.bool_)
        found[[clause.number for clause in clauses_of(rules)]] = True
        return found

    def encoded(self, rules: Rules) -> IntArray:
        """Return the genome, not yet canonical, of some of the rules."""
        genome = self.space.full.copy()
        genome[FIRST_BIT:] = self._stay(rules)
        return genome

    def decoded(self, genome: IntArray) -> Rules:
        """Return the rules that a genome of shape (genes,) keeps."""
        kept = self._kept(genome[np.newaxis])[0]
        return tuple(_left(rule, kept) for rule in self.rules if kept[rule.clause.number])

    def _kept(self, genomes: IntArray) -> BoolArray:
        """Return which clauses stay, shape (n, clauses): those whose bit is on, which hang on others that stay."""
        kept = (genomes[:, FIRST_BIT:] > 0) & self._masks[genomes[:, 0], genomes[:, 1]]
        for number, parent in enumerate(self._parents):
            if parent >= 0:
                kept[:, number] &= kept[:, parent]
        return kept

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return the representatives of genomes, (n, genes): what hangs on a rule that went counts as kept."""
        kept = self._kept(genomes)
        if self._repeated:
            kept = np.array([self._first(own) for own in kept]).reshape(kept.shape)
        found = np.tile(self.space.full, (len(genomes), 1))
        for number, parent in enumerate(self._parents):
            found[:, FIRST_BIT + number] = kept[:, number] | (~kept[:, parent] if parent >= 0 else False)
        return found

    def _first(self, kept: BoolArray) -> BoolArray:
        """Return the first of all clauses that say what the kept ones say."""
        rules = tuple(_left(rule, kept) for rule in self.rules if kept[rule.clause.number])
        return self._stay(_in_order(self.rules, rules, _same_rule) or ())


def _left(rule: Rule, kept: BoolArray) -> Rule:
    def left(clause: Clause) -> Clause:
        return replace(clause, exceptions=tuple(left(each) for each in clause.exceptions if kept[each.number]))

    return replace(rule, clause=left(rule.clause))


def _same_rule(known: Rule, wanted: Rule) -> Rule | None:
    clause = _same(known.clause, wanted.clause) if known.label == wanted.label else None
    return None if clause is None else replace(known, clause=clause)


def _same(known: Clause, wanted: Clause) -> Clause | None:
    """Return a clause with those of its exceptions that make it say what another one says; None if it cannot."""
    kept = _in_order(known.exceptions, wanted.exceptions, _same) if known.body == wanted.body else None
    return None if kept is None else replace(known, exceptions=kept)


def _in_order(known: Sequence[Item], wanted: Sequence[Item], same: Same[Item]) -> tuple[Item, ...] | None:
    """Return for each wanted item, in order, the next known one that is the same; None where one has none."""
    left = iter(known)
    found = [next((own for own in (same(each, item) for each in left) if own is not None), None) for item in wanted]
    kept = tuple(own for own in found if own is not None)
    return kept if len(kept) == len(found) else None
