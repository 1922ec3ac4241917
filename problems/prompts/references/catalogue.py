"""The references of token deletion by name, made once and kept with what they cost."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Reference
from emoprune.problems.prompts.references.accepting import RUNS, Accepted, accepting
from emoprune.problems.prompts.references.ranked import kept_by, random_order
from emoprune.problems.storage.kept_references import genomes_as_json, genomes_from_json, readable
from emoprune.space import IntArray, Space

__all__ = ["METHODS", "USUAL", "Bench", "MadeReferences", "kept_references", "made_references"]

_log = logging.getLogger("emoprune")
FloatArray = NDArray[np.float64]

UNPRUNED = "unpruned"
CLIMBING: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"accepting-in-runs": {"runs": RUNS}, "threshold-accepting": {}, "hill-climbing": {"strict": True}}
)
METHODS = ("perplexity", "random", *CLIMBING)
USUAL = ("perplexity", "random", "accepting-in-runs")
SHARES = (0.75, 0.5, 0.25)  # of the tokens that stay


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """What making references takes: the space, canonical forms, the worth of a genome, and how surprising tokens are.

    `worth` gives None where a genome's worth is known to be less than its second argument.
    """

    space: Space
    canonical: Callable[[IntArray], IntArray]
    worth: Callable[[IntArray, float], float | None]
    surprisal: Callable[[], FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class MadeReferences:
    """References, the unpruned first, and how many prompts were measured to make them, by method."""

    references: Sequence[Reference]
    evaluations: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain data that `kept_references` reads back."""
        return {"genomes": genomes_as_json(self.references), "evaluations": dict(self.evaluations)}


def made_references(names: Sequence[str], bench: Bench, most: int, seed: int) -> MadeReferences:
    """Make the references, costly ones first; random deletion is also done at the rates that these came to.

    Args:
        names: Some of `METHODS`.
        bench: What they are made with.
        most: How many prompts a method may measure.
        seed: Draws the random ones.
    """
    rng = np.random.default_rng([seed, 20])
    space = bench.space
    surprisal = bench.surprisal() if "perplexity" in names else None  # first: a scorer that cannot say refuses here
    climbed: dict[str, Accepted] = {}
    for name, options in CLIMBING.items():
        if name in names:
            _log.info("references: %s measures up to %d prompts", name, most)
            climbed[name] = accepting(bench.worth, space, **options, most=most)
    found: dict[str, IntArray] = {UNPRUNED: space.full, **{name: each.genome for name, each in climbed.items()}}
    for name, each in climbed.items():
        found |= {_at(name, share): genome for share, genome in each.halts(space, SHARES).items()}
    if surprisal is not None:
        found |= {_at("perplexity", share): kept_by(surprisal, space, share) for share in SHARES}
    if "random" in names:
        scores = random_order(space, rng)
        found |= {_at("random", share): kept_by(scores, space, share) for share in SHARES}
        for name, each in climbed.items():
            share = each.genome[space.free].sum() / space.free.sum()
            found[f"random-as-{name}"] = kept_by(random_order(space, rng), space, float(share))
    names_found, genomes = list(found), bench.canonical(np.array(list(found.values()), dtype=np.int64))
    references = [Reference(name, genome) for name, genome in zip(names_found, genomes, strict=True)]
    return MadeReferences(references, {name: each.evaluations for name, each in climbed.items()})


def _at(name: str, share: float) -> str:
    return f"{name}-{round(100 * share)}"


def kept_references(path: Path, space: Space) -> MadeReferences | None:
    """Return the references in a file, legal in `space`; None if there is no file.

    Raises:
        RunCorrupt: The file is of another form, or of another prompt.
    """
    if not path.exists():
        return None
    with readable("another prompt"):
        plain = json.loads(path.read_text(encoding="utf-8"))
        evaluations = {name: int(count) for name, count in plain["evaluations"].items()}
        return MadeReferences(genomes_from_json(plain["genomes"], space), evaluations)
