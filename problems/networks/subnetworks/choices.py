"""What there is to choose from once the parts are searched: for each part the members of its front, small to large."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.errors import RunCorrupt
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.storage.kept import write_json
from emoprune.space import Gene, GeneKind, IntArray, Space

__all__ = ["Choices", "Member"]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One way to prune a part: what it is called, the units of the part's groups that stay, and what was measured.

    `impairment` is how much worse the network gets with it alone, `saving` the share of its cost that goes.
    """

    name: str
    kept: Kept
    impairment: float
    saving: float


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """The members of every part, from the smallest to the unpruned one, and what a person should know of them.

    `references` are joint genomes by name, `starts` joint genomes to begin with, `tables` and `notes` say how they
    came about.
    """

    parts: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    members: tuple[tuple[Member, ...], ...]
    references: Mapping[str, IntArray]
    starts: IntArray
    tables: Mapping[str, Sequence[Mapping[str, str | int | float | None]]]
    notes: tuple[str, ...]

    @property
    def space(self) -> Space:
        """One gene per part: which member, ordered by size, so that a step is to a neighbour on the part's front."""
        named = zip(self.parts, self.members, strict=True)
        return Space(tuple(Gene(name, len(own), GeneKind.ORDERED) for name, own in named))

    def chosen(self, genome: IntArray) -> list[Member]:
        """Return the member of each part that a genome of shape (parts,) takes."""
        return [own[level] for own, level in zip(self.members, genome.tolist(), strict=True)]

    def taken(self, genome: IntArray) -> Mapping[str, str]:
        """Return the name of the member that each part takes, by part."""
        return dict(zip(self.parts, (member.name for member in self.chosen(genome)), strict=True))

    def kept(self, genome: IntArray, full: Kept) -> Kept:
        """Return the units of all coupling groups that stay; `full` those of the unpruned network."""
        whole = list(full)
        for groups, member in zip(self.groups, self.chosen(genome), strict=True):
            for group, units in zip(groups, member.kept, strict=True):
                whole[group] = units
        return whole

    def save(self, path: Path) -> None:
        """Write the choices; the file appears whole or not at all."""
        write_json(path, self._as_json(), end="")

    def _as_json(self) -> dict[str, Any]:
        return {
            "parts": list(self.parts),
            "groups": [list(own) for own in self.groups],
            "members": [
                [[each.name, [units.tolist() for units in each.kept], each.impairment, each.saving] for each in own]
                for own in self.members
            ],
            "references": {name: genome.tolist() for name, genome in self.references.items()},
            "starts": self.starts.tolist(),
            "tables": {title: [dict(row) for row in rows] for title, rows in self.tables.items()},
            "notes": list(self.notes),
        }

    @classmethod
    def load(cls, path: Path) -> Choices:
        """Return the choices that `save` wrote.

        Raises:
            RunCorrupt: The file holds something else.
        """
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            members = tuple(
                tuple(
                    Member(name, [np.array(units, dtype=np.int64) for units in kept], float(impairment), float(saving))
                    for name, kept, impairment, saving in own
                )
                for own in plain["members"]
            )
            return cls(
                tuple(plain["parts"]),
                tuple(tuple(own) for own in plain["groups"]),
                members,
                {name: np.array(genome, dtype=np.int64) for name, genome in plain["references"].items()},
                np.array(plain["starts"], dtype=np.int64).reshape(-1, len(members)),
                plain["tables"],
                tuple(plain["notes"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunCorrupt(
                f"{path.name} cannot be read as choices among parts: {error!r}; delete it, and a resume makes it again"
            ) from error
