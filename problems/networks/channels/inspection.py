"""The pre-flight: coupling groups, the sizes that can be reached, what stays whole, and whether bounds can be met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from emoprune.contracts import Inspection, Table
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.structure import CouplingGroup, Structure
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.space import IntArray

__all__ = ["inspection_of_channels"]

NAMED = 3  # members of a coupling group that are named before they are only counted


def inspection_of_channels(
    network: str, levels: WidthLevels, model: CostModel, measures: Measures, notes: Sequence[str]
) -> Inspection:
    """Return what a person wants to know of a network before searching the widths of its coupling groups."""
    structure = model.structure
    ends = np.array([[widths[0] for widths in levels.table], levels.full], dtype=np.int64)
    sizes = {"macs": model.macs(ends), "parameters": model.parameters(ends), "bytes": model.bytes(ends)}
    summary: dict[str, str | int | float | bool] = {"network": network, "coupling groups": len(structure.groups)}
    summary["genomes"] = f"{float(levels.space.size):.3g}"
    for name, (smallest, full) in sizes.items():
        summary |= {f"{name} unpruned": int(full), f"{name} smallest": f"{smallest:,} ({smallest / full:.1%})"}
    tables: dict[str, Table] = {
        "coupling groups": [_row(group, levels, model, number) for number, group in enumerate(structure.groups)],
        "whole": [{"layer": whole.path, "channels": whole.channels, "why": whole.reason} for whole in structure.wholes],
        "bounds": measures.reachable({name: float(smallest) for name, (smallest, _) in sizes.items()}),
    }
    return Inspection(summary, {title: rows for title, rows in tables.items() if rows}, [*_notes(structure), *notes])


def _row(group: CouplingGroup, levels: WidthLevels, model: CostModel, number: int) -> Mapping[str, str | int | float]:
    widths = levels.table[number]
    alone: IntArray = np.array([levels.full, levels.full], dtype=np.int64)
    alone[0, number] = widths[0]
    narrow, full = model.macs(alone).tolist()
    return {
        "group": group.name,
        "units": group.units,
        "widths": f"{widths[0]} to {widths[-1]} in {len(widths)}",
        "puts out": _listed(group.producers),
        "takes in": _listed(group.consumers),
        "saves at most": f"{1 - narrow / full:.1%} of macs",
    }


def _listed(paths: Sequence[str]) -> str:
    named = ", ".join(paths[:NAMED])
    return named if len(paths) <= NAMED else f"{named} and {len(paths) - NAMED} more"


def _notes(structure: Structure) -> Iterator[str]:
    if structure.functional_macs:
        yield (
            f"The forward multiplies outside of its layers: {structure.functional_macs:,} multiply-accumulates for one "
            "image that no count here follows, such as those of an attention."
        )
    transposed = [part.path for part in structure.parts if part.kind.startswith("ConvTranspose")]
    if transposed:
        yield f"Multiply-accumulates of transposed convolutions ({', '.join(transposed)}) are counted on their inputs."
