"""The pre-flight of a transformer: its layers, the sizes that can be reached, and whether bounds can be met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emoprune.contracts import Inspection, Table
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.transformers.genes import GeneLayout

__all__ = ["inspection_of_layers"]

Counted = Mapping[str, float]


def inspection_of_layers(
    model: str, layout: GeneLayout, measures: Measures, counted: tuple[Counted, Counted], notes: Sequence[str] = ()
) -> Inspection:
    """Return what a person wants to know of a model before searching.

    `counted` holds the counted measures of the unpruned and of the smallest model, `notes` what was found of model and
    data when they were opened.
    """
    unpruned, smallest = counted
    summary: dict[str, str | int | float | bool] = {"model": model, "layers": len(layout.anatomy.blocks)}
    summary |= {
        "genes": len(layout.space),
        "genomes": f"{layout.space.size:.3g}" if layout.space.size < 1e300 else "many",
    }
    for name, full in unpruned.items():
        reached = int(smallest[name])
        summary |= {f"{name} unpruned": int(full), f"{name} smallest": f"{reached:,} ({reached / full:.1%})"}
    tables: dict[str, Table] = {"layers": _rows(layout), "bounds": measures.reachable(smallest)}
    return Inspection(summary, {title: rows for title, rows in tables.items() if rows}, [*notes, *_notes(layout)])


def _rows(layout: GeneLayout) -> Table:
    rows: list[dict[str, str | int]] = []
    for number, block in enumerate(layout.anatomy.blocks):
        attention = block.attention
        heads, neurons = layout.table[2 * number], layout.table[2 * number + 1]
        rows.append(
            {
                "layer": number,
                "attention": attention.kind,
                "heads": attention.heads,
                "key and value heads": attention.key_value_heads,
                "heads kept": f"{heads[0]} to {heads[-1]} in {len(heads)}",
                "neurons": block.neurons,
                "neurons kept": f"{neurons[0]} to {neurons[-1]} in {len(neurons)}",
                "can go": "yes" if layout.drop_layers else "no",
            }
        )
    return rows


def _notes(layout: GeneLayout) -> list[str]:
    notes = []
    blocks = layout.anatomy.blocks
    if any(block.attention.group > 1 for block in blocks):
        notes.append(
            "Queries share keys and values here. The query heads of one key and value go together, so that the cache "
            "of a text shrinks with them."
            if layout.whole_groups
            else "Queries share keys and values here: a key and value head goes when none of its queries is left, so "
            "that the first heads of a group to go save less than its last one. Where some keys lose more queries than "
            "others, each query head keeps a key and value of its own, and the cache of a text grows (kv-bytes); "
            "whole_groups: true keeps whole groups."
        )
    if layout.uniform:
        notes.append("All layers that stay have the same numbers of heads and neurons.")
    if any(len(block.feed_forwards) > 1 for block in blocks):
        notes.append("The neurons of all experts of a layer are ranked together; experts may become unequally wide.")
    return notes
