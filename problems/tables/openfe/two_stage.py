"""OpenFE as a whole: candidates within a budget, halving, attribution; from a boosted start and from a constant."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.catalogue import Catalogue
from emoprune.problems.tables.formulas.formula import Formula, reciprocal
from emoprune.problems.tables.learners.lightgbm import TreeOptions
from emoprune.problems.tables.openfe.attribution import Attribution, attributed
from emoprune.problems.tables.openfe.boosting import constant, out_of_fold, published
from emoprune.problems.tables.openfe.composing import composed
from emoprune.problems.tables.openfe.halving import diverse, halved
from emoprune.problems.tables.openfe.proposing import guided
from emoprune.problems.tables.openfe.screening import CrossFittedGain, Screen, Screening, SingleTrees
from emoprune.problems.tables.rows.splits import Block

__all__ = ["Found", "Generation", "Start", "two_stages"]

IntArray = NDArray[np.int64]

Start = Literal["boosted", "published", "constant"]

FOLDS = 5

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True)
class Generation:
    """How features are generated.

    Args:
        operators: Their names.
        order: How many operators may lie on top of each other.
        budget: How many formulas are looked at for each order; a larger catalogue is drawn from.
        blocks: The first block has one of so many parts of the rows, the next twice as many rows, and so on.
        least: Halving ends at so many formulas; so many go on to the joint model at most.
        screening: `gain` (cross-fitted) or `trees` (as published).
        attribution: `gain` of all splits, or `permutation` on held-out rows.
    """

    operators: tuple[str, ...]
    order: int = 1
    budget: int = 4000
    blocks: int = 8
    least: int = 200
    screening: Screening = "gain"
    attribution: Attribution = "gain"

    def __post_init__(self) -> None:
        for name in ("order", "budget", "blocks", "least"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, found {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Found:
    """New features by rank, the most important first, and others that are good alone.

    `considered` counts the formulas that were scored at all, `possible` those there are.
    """

    ranked: tuple[Formula, ...]
    others: tuple[Formula, ...]
    considered: int
    possible: int


def two_stages(
    computed: Computed,
    rows: IntArray,
    generation: Generation,
    trees: TreeOptions,
    *,
    seed: int,
    start: Start = "boosted",
) -> Found:
    """Return the new features that add most, judged on `rows` alone.

    From a boosted start they are judged by what they add to all columns together, as OpenFE recommends, or exactly as
    published; from a constant one by what they say themselves, so that one that can stand for several columns is found
    as well.
    """
    rng = np.random.default_rng(seed)
    folds = rng.permutation(np.arange(len(rows)) % FOLDS)
    block = Block("search", rows, rows)
    if start == "constant":
        margins = constant(computed.table, rows)
    elif start == "published":
        margins = published(computed, rows, folds, seed)
    else:
        margins = out_of_fold(computed, rows, folds, trees, seed)
    screen: Screen = CrossFittedGain(computed, block, margins, folds)
    if generation.screening == "trees":
        screen = SingleTrees(computed, block, margins, folds, trees)
    scored: dict[Formula, float] = {}
    considered = possible = 0
    catalogue = Catalogue(computed.table.kinds, generation.operators)
    for order in range(1, generation.order + 1):
        places = rng.permutation(screen.rows)[: max(screen.rows // generation.blocks, 1)]
        candidates = guided(catalogue, generation.budget, screen, places, rng)
        considered, possible = considered + len(candidates), possible + catalogue.size
        left = halved(candidates, screen, blocks=generation.blocks, least=generation.least, rng=rng)
        scored |= left
        if order < generation.order:
            catalogue = composed(
                computed, block, margins, candidates, list(left), lower=catalogue, budget=generation.budget
            )
    kept = sorted(scored, key=lambda formula: -scored[formula])
    joint = diverse(computed, block, kept, generation.least)
    importances = attributed(computed, block, joint, margins, folds, by=generation.attribution, trees=trees, seed=seed)
    ranked = [joint[place] for place in np.argsort(-importances, kind="stable")]
    used = int((importances > 0).sum())
    _log.debug("openfe, %s start: %d of %d formulas looked at, %d used jointly", start, considered, possible, used)
    known = {*ranked[:used], *map(reciprocal, ranked[:used])}
    rest = [formula for formula in kept if formula not in known]
    return Found(tuple(ranked[:used]), tuple(rest), considered, possible)
