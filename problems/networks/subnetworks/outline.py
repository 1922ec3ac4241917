"""The pre-flight of a divided network: where it can be cut, its parts, and how large each one's search space is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emoprune.contracts import Inspection, Table
from emoprune.problems.networks.subnetworks.chain import Chain
from emoprune.problems.networks.subnetworks.division import SubNetwork
from emoprune.problems.networks.subnetworks.part import PartProblem
from emoprune.problems.networks.task import NetworkTask
from emoprune.space import IntArray

__all__ = ["inspection_of_parts", "parts_table"]

Row = dict[str, str | int | float | None]


def inspection_of_parts(
    task: NetworkTask, chain: Chain, parts: Sequence[PartProblem], *, free_at_last: bool
) -> Inspection:
    """Return what a person wants to know of a network before it is searched part by part.

    `free_at_last` says that a search of every gene follows.
    """
    groups, inside = task.structure.groups, {group for part in parts for group in part.part.groups}
    whole = [group.name for number, group in enumerate(groups) if number not in inside]
    summary: dict[str, str | int | float | bool] = {"network": task.options.network, "parts": len(parts)}
    summary |= {"coupling groups": len(groups), "of these searched": len(inside)}
    tables: dict[str, Table] = {"parts": parts_table(task, parts), "can be cut after": _cuts(task, chain)}
    until = " until every gene is searched" if free_at_last else ""
    said = [f"These keep their full width{until}, because they cross a cut: {', '.join(whole)}."] if whole else []
    return Inspection(summary, {title: rows for title, rows in tables.items() if rows}, [*said, *task.notes()])


def parts_table(task: NetworkTask, parts: Sequence[PartProblem]) -> list[Row]:
    """Return one row per part: where it lies, and what searching it means."""
    full = task.measures.unpruned["macs"]
    return [
        {
            "part": each.part.name,
            "up to": _end(each.part),
            "coupling groups": ", ".join(task.structure.groups[group].name for group in each.part.groups),
            "genes": len(each.space),
            "genomes": _size(each),
            "saves at most": f"{1 - each.counted(_smallest(each))['macs'] / full:.1%} of macs",
        }
        for each in parts
    ]


def _end(part: SubNetwork) -> str:
    if not part.chained:
        return "across the network"
    return "the end" if part.end is None else part.end.name


def _size(part: PartProblem) -> str:
    digits = float(np.log10(part.space.levels[part.space.free].astype(np.float64)).sum())
    return f"{part.space.size:,}" if digits < 9 else f"about 10^{digits:.0f}"


def _smallest(part: PartProblem) -> IntArray:
    return part.of_widths(np.ones(len(part.task.structure.groups), dtype=np.int64))


def _cuts(task: NetworkTask, chain: Chain) -> list[Row]:
    names = [group.name for group in task.structure.groups]
    return [
        {"module": cut.name, "keeps whole": ", ".join(names[group] for group in cut.crossing) or "nothing"}
        for cut in chain.cuts
    ]
