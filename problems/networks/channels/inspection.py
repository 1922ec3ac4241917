"""The pre-flight: coupling groups, sizes in reach, what stays whole, bounds, and why channels cannot be pruned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from emoprune.contracts import Inspection, Table
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.checking import NOT_RUNNING
from emoprune.problems.networks.coupling.structure import CouplingGroup, Structure
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.space import IntArray

__all__ = ["check_prunable", "inspection_of_channels"]

NAMED = 3  # layers that are named before they are only counted


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


def check_prunable(structure: Structure) -> None:
    """Refuse a network without channels to prune, or of which some coupling groups cannot be sliced.

    Raises:
        ConfigError: It names them, the reasons, and what to write into `ignore`.
    """
    if structure.broken:
        raise ConfigError(_broken(structure))
    if not structure.groups:
        raise ConfigError(f"network: it has no channels that can be pruned ({_why_whole(structure)})")


def _why_whole(structure: Structure) -> str:
    """Return the reasons why channels stay, each with the layers that it holds for."""
    paths: dict[str, list[str]] = {}
    for whole in structure.wholes:
        paths.setdefault(whole.reason, []).append(whole.path)
    return "; ".join(f"{_listed(own)}: {reason}" for reason, own in paths.items()) or "it has no layers"


def _broken(structure: Structure) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in structure.broken.items())
    patterns = sorted(
        {path for group in structure.groups if group.name in structure.broken for path in group.producers}
    )
    return (
        f"network: {len(structure.broken)} of its {len(structure.groups)} coupling groups cannot be sliced "
        f"({reasons}). {_usual_cause(structure.broken)} Or leave them whole with `ignore: [{', '.join(patterns)}]`"
    )


def _usual_cause(broken: Mapping[str, str]) -> str:
    if any(NOT_RUNNING in reason for reason in broken.values()):
        return (
            "Where the sliced network does not run, a size is usually written into its forward, as in "
            "x.view(-1, 400): take it from the tensor, as x.flatten(1) and x.shape[1] // 2 do, or from an attribute."
        )
    return (
        "Where its outputs are others, a number that is written into its forward usually means other channels: change "
        "the network."
    )
