"""References as plain data, so that they are made once per run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune.contracts import Reference
from emoprune.errors import ContractError, RunCorrupt
from emoprune.space import IntArray, Space

__all__ = ["as_json", "from_json"]

Starts = Mapping[str, IntArray]  # genomes to measure, (n, genes), by what a method calls them


def as_json(references: Sequence[Reference], starts: Mapping[str, Starts]) -> dict[str, Any]:
    """Return plain data that `from_json` reads back: genomes by name, in order, and those to measure by method."""
    plain = {method: {label: each.tolist() for label, each in own.items()} for method, own in starts.items()}
    return {"genomes": {own.name: own.genome.tolist() for own in references}, "starts": plain}


def from_json(plain: Mapping[str, Any], space: Space) -> tuple[tuple[Reference, ...], dict[str, dict[str, IntArray]]]:
    """Return the references that `as_json` wrote and what has to be measured for more, all genomes legal in `space`.

    Raises:
        RunCorrupt: The data is of another form or of another network.
    """
    try:
        references = tuple(
            Reference(name, space.check([genome], f"reference {name}")[0]) for name, genome in plain["genomes"].items()
        )
        starts = {
            method: {label: space.check(genomes, label) for label, genomes in own.items()}
            for method, own in plain["starts"].items()
        }
        return references, starts
    except (AttributeError, ContractError, KeyError, TypeError, ValueError) as error:
        raise RunCorrupt(
            f"kept references cannot be read ({error}); they were made for other widths or another network, or were "
            "changed by hand. Delete the file, and they are made again"
        ) from error
