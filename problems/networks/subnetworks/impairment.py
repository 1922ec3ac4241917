"""Global performance impairment ranking: all members of all parts' fronts in one order, and the schemes along it.

After Shang et al., A Multi-objective Complex Network Pruning Framework Based on Divide-and-conquer and Global
Performance Impairment Ranking, arXiv 2303.16212. The formula is not public; this is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.space import IntArray

__all__ = ["even_schemes", "ranked", "schemes"]

FloatArray = NDArray[np.float64]


def ranked(impairments: Sequence[FloatArray], savings: Sequence[FloatArray]) -> IntArray:
    """Return all members by rising impairment, of equal ones the one that saves more first: (members, 2).

    A row is a part and a member of it. Equal in both, they keep the order of parts and members.

    Args:
        impairments: How much worse the whole network gets with each member of each part alone, (members of the part,).
        savings: What each of them saves, in the same shapes.
    """
    parts = np.repeat(np.arange(len(impairments)), [len(own) for own in impairments])
    members = np.concatenate([np.arange(len(own)) for own in impairments])
    order = np.lexsort((-np.concatenate(savings), np.concatenate(impairments)))
    return np.column_stack([parts, members])[order]


def schemes(ranking: IntArray, savings: Sequence[FloatArray], unpruned: IntArray) -> IntArray:
    """Return the joint schemes along a ranking, from the unpruned one on: which member each part takes, (n, parts).

    Walking the ranking upwards, a part switches to a member whenever that saves more than the one it has; every switch
    is a scheme, so that there is one for each budget that the ranking can meet.

    Args:
        ranking: As `ranked` returns it.
        savings: What each member of each part saves.
        unpruned: The member of each part that is the unpruned one, shape (parts,).
    """
    taken = unpruned.copy()
    found = [taken.copy()]
    for part, member in ranking.tolist():
        if savings[part][member] > savings[part][taken[part]]:
            taken[part] = member
            found.append(taken.copy())
    return np.stack(found)


def even_schemes(savings: Sequence[FloatArray], shares: Sequence[float]) -> IntArray:
    """Return schemes in which every part saves about the same share of the most that it can: (shares, parts).

    Args:
        savings: What each member of each part saves; one of each saves nothing.
        shares: From 0 to 1.
    """
    columns = [np.abs(own[None, :] - np.array(shares)[:, None] * own.max()).argmin(axis=1) for own in savings]
    return np.stack(columns, axis=1)
