"""References as plain data, so that they are made once per run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from emoprune.contracts import Reference, Starts
from emoprune.errors import ContractError, RunCorrupt
from emoprune.space import IntArray, Space

__all__ = ["REFERENCES", "as_json", "from_json", "genomes_as_json", "genomes_from_json", "readable"]

REFERENCES = "references.json"  # in a run's folder


def as_json(references: Sequence[Reference], starts: Mapping[str, Starts]) -> dict[str, Any]:
    """Return plain data that `from_json` reads back: genomes by name, in order, and those to measure by method."""
    plain = {method: {label: each.tolist() for label, each in own.items()} for method, own in starts.items()}
    return {"genomes": genomes_as_json(references), "starts": plain}


def from_json(plain: Mapping[str, Any], space: Space) -> tuple[tuple[Reference, ...], dict[str, dict[str, IntArray]]]:
    """Return the references that `as_json` wrote and what has to be measured for more, all genomes legal in `space`.

    Raises:
        RunCorrupt: The data is of another form or of another network.
    """
    with readable("other widths or another network"):
        starts = {
            method: {label: space.check(genomes, label) for label, genomes in own.items()}
            for method, own in plain["starts"].items()
        }
        return genomes_from_json(plain["genomes"], space), starts


def genomes_as_json(references: Sequence[Reference]) -> dict[str, list[int]]:
    """Return the genomes by name, in order."""
    return {own.name: own.genome.tolist() for own in references}


def genomes_from_json(plain: Mapping[str, Any], space: Space) -> tuple[Reference, ...]:
    """Return the references that `genomes_as_json` wrote, all genomes legal in `space`; to be called in `readable`."""
    return tuple(Reference(name, space.check([own], f"reference {name}")[0]) for name, own in plain.items())


@contextmanager
def readable(others: str) -> Iterator[None]:
    """Refuse kept references that are read within the block and are of another form, or made for something else.

    Raises:
        RunCorrupt: They are.
    """
    try:
        yield
    except (OSError, AttributeError, ContractError, KeyError, TypeError, ValueError) as error:
        raise RunCorrupt(
            f"{REFERENCES} cannot be read ({error}); it was made for {others}, or was changed by hand. Delete it, and "
            "it is made again"
        ) from error
