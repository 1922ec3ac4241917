"""References as plain data, so that the costly ones are made once per run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune.contracts import Reference
from emoprune.errors import ContractError, RunCorrupt
from emoprune.space import Space

__all__ = ["as_json", "from_json"]


def as_json(references: Sequence[Reference], evaluations: Mapping[str, int]) -> dict[str, Any]:
    """Return plain data that `from_json` reads back: genomes by name, in order, and evaluations by method."""
    genomes = {reference.name: reference.genome.tolist() for reference in references}
    return {"genomes": genomes, "evaluations": dict(evaluations)}


def from_json(plain: Mapping[str, Any], space: Space) -> tuple[tuple[Reference, ...], dict[str, int]]:
    """Return the references and the evaluations that `as_json` wrote, the genomes legal in `space`.

    Raises:
        RunCorrupt: The data is of another form or of another network.
    """
    try:
        references = tuple(
            Reference(name, space.check([genome], f"reference {name}")[0]) for name, genome in plain["genomes"].items()
        )
        return references, {name: int(count) for name, count in plain["evaluations"].items()}
    except (AttributeError, ContractError, KeyError, TypeError, ValueError) as error:
        raise RunCorrupt(
            f"kept references cannot be read ({error}); they were made for other widths or another network, or were "
            "changed by hand. Delete the file, and they are made again"
        ) from error
