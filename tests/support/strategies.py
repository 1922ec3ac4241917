"""Hypothesis strategies: spaces with every kind of gene, locks, overlapping floors and interchangeable slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from emoprune.space import Gene, GeneKind, Group, IntArray, Space

__all__ = ["any_genomes", "counts", "generators", "genomes_in_range", "spaces"]

generators = st.integers(0, 2**32 - 1).map(np.random.default_rng)
counts = st.integers(0, 20)


@st.composite
def genes(draw: st.DrawFn) -> Gene:
    """One gene of any kind, sometimes locked, sometimes with a single level."""
    kind = draw(st.sampled_from(GeneKind))
    levels = 2 if kind is GeneKind.BIT else draw(st.sampled_from((1, 2, 3, 7, 300)))
    locked = draw(st.none() | st.none() | st.integers(0, levels - 1))
    return Gene("gene", levels, kind, locked)


@st.composite
def slots(draw: st.DrawFn) -> list[Gene]:
    """Up to four genes alike, free to change places."""
    kind = draw(st.sampled_from((GeneKind.ORDERED, GeneKind.CATEGORY)))
    return draw(st.integers(0, 4)) * [Gene("slot", draw(st.integers(2, 9)), kind)]


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """A space that has legal genomes: floors are within reach, and no group holds a part of the slots only."""
    plain = draw(st.lists(genes(), min_size=1, max_size=10))
    alike = draw(slots())
    everything = [*plain, *alike]
    places = tuple(range(len(plain), len(everything)))
    members = draw(st.lists(st.sets(st.integers(0, len(plain) - 1)), max_size=3))
    with_slots = draw(st.lists(st.booleans(), min_size=3, max_size=3))
    groups = [
        draw(_floored(f"group{number}", (*sorted(own), *(places if whole else ())), everything))
        for number, (own, whole) in enumerate(zip(members, with_slots, strict=False))
    ]
    if alike:
        groups.append(Group("slots", places, draw(st.integers(0, len(places))), interchangeable=True))
    return Space(tuple(everything), tuple(groups), draw(_costs(len(plain), len(alike))))


@st.composite
def _floored(draw: st.DrawFn, name: str, members: tuple[int, ...], everything: Sequence[Gene]) -> Group:
    reachable = sum(everything[member].locked != 0 and everything[member].levels > 1 for member in members)
    return Group(name, members, draw(st.integers(0, reachable)))


@st.composite
def _costs(draw: st.DrawFn, plain: int, alike: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Draw a cost per gene, the same for slots that may change places."""
    cost = st.sampled_from((0.0, 1.0, 0.1, 3.7, 1e9))
    return np.array([*draw(st.lists(cost, min_size=plain, max_size=plain)), *alike * [draw(cost)]])


def genomes_in_range(space: Space, count: int, rng: np.random.Generator) -> IntArray:
    """Return random genomes of shape (count, genes) that may break locks, floors and slot order."""
    return rng.integers(0, space.levels, (count, len(space)))


def any_genomes(space: Space, count: int, rng: np.random.Generator) -> IntArray:
    """Return random genomes of shape (count, genes) that may break everything, levels included."""
    return rng.integers(-3, space.levels + 3, (count, len(space)))
