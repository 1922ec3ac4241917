"""The pre-flight of treated layers: what each can be reduced to, the sizes in reach, and whether bounds can be met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from emoprune.contracts import Inspection, Table
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.layers.treatments.levels import LayerLevels

__all__ = ["inspection_of_layers"]


def inspection_of_layers(network: str, levels: LayerLevels, measures: Measures, notes: Sequence[str]) -> Inspection:
    """Return what a person wants to know of a network before searching the levels of its layers."""
    smallest = levels.counted(np.zeros((1, len(levels.layers)), dtype=np.int64), measures.unpruned)[0]
    summary: dict[str, str | int | float | bool] = {"network": network, "layers": len(levels.layers)}
    summary["genomes"] = f"{float(levels.space.size):.3g}"
    for name, full in measures.unpruned.items():
        reached = int(smallest[name])
        summary |= {f"{name} unpruned": int(full), f"{name} smallest": f"{reached:,} ({reached / full:.1%})"}
    tables: dict[str, Table] = {
        "layers": [_row(levels, number) for number in range(len(levels.layers))],
        "bounds": measures.reachable(smallest),
    }
    return Inspection(summary, {title: rows for title, rows in tables.items() if rows}, [*_notes(levels), *notes])


def _row(levels: LayerLevels, number: int) -> Mapping[str, str | int]:
    labels, table = levels.treatment.labels, levels.table[number]
    return {
        "layer": levels.parts[number].path,
        "weights": int(levels.sizes[number]),
        "levels": f"{labels[table[0]]} to {labels[table[-1]]} in {len(table)}",
        "not zero": f"{levels.nonzeros[number, table[0]]:,} to {levels.nonzeros[number, -1]:,}",
        "bytes": f"{levels.stored[number, table[0]]:,} to {levels.stored[number, -1]:,}",
    }


def _notes(levels: LayerLevels) -> Iterator[str]:
    if levels.untouched:
        yield (
            f"Layers that stay as they are because every level leaves the same of them: {', '.join(levels.untouched)}."
        )
    transposed = [part.path for part in levels.parts if part.kind.startswith("ConvTranspose")]
    if transposed:
        yield f"Multiply-accumulates of transposed convolutions ({', '.join(transposed)}) are counted on their inputs."
