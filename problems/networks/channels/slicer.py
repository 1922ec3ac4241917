"""From widths to a variant: rank, keep, slice, compensate; what was cut once for a part is kept for the next."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.channels.compensations.contract import Compensation, Statistics
from emoprune.problems.networks.coupling.kinds import BUFFER, NUMBER, PARAMETER
from emoprune.problems.networks.coupling.pruned_module import (
    clone,
    pruned_module,
    set_number,
    tensors_of,
    with_tensors,
)
from emoprune.problems.networks.coupling.structure import FIXED, CouplingGroup, Kept, Part, Structure, Wiring
from emoprune.problems.networks.criteria.ranking import kept_units
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.reuse.cache import LRUCache, bytes_of
from emoprune.problems.networks.variant import Variant
from emoprune.space import IntArray

__all__ = ["Slicer", "touching"]

CACHE_BYTES = 256 * 2**20


def touching(part: Part) -> tuple[int, ...]:
    """Return the numbers of the coupling groups whose channels lie on the part, rising."""
    wirings = [wiring for wiring in (part.incoming, part.outgoing) if wiring is not None]
    found = {int(group) for wiring in wirings for group in set(wiring.groups.tolist())} - {FIXED}
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """One part at some widths: a module of its own, and which channels of the unpruned one's outputs it gives.

    `module` is never handed out, only clones of it; of a bare parameter it holds the parameter.
    """

    module: nn.Module
    rows: torch.Tensor | None


class Slicer:
    """Cuts networks of any widths out of the unpruned one.

    Args:
        bench: The unpruned network and its coupling groups.
        scores: What ranks the units of each coupling group.
        compensation: How the weights that stay make up for those that go.
        statistics: What the compensation needs of the unpruned network.
        cache_bytes: How much memory parts that were cut before may take; the unpruned network is not counted.
    """

    def __init__(
        self,
        bench: Bench,
        scores: Sequence[Scores],
        compensation: Compensation | None = None,
        statistics: Statistics | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._bench = bench
        self._scores = tuple(scores)
        self._compensation = compensation
        self._statistics = statistics or {}
        self._touching = {part.path: touching(part) for part in bench.structure.parts}
        self._alone = {part.path: _alone(bench.structure, part) for part in bench.structure.parts}
        self._cuts = LRUCache[_Cut](cache_bytes)
        self._ranked: dict[tuple[int, int], IntArray] = {}

    def kept(self, widths: IntArray) -> Kept:
        """Return the units that stay at these widths, shape (groups,): the best of each coupling group."""
        return [self._best(group, width) for group, width in enumerate(widths.tolist())]

    def variant(self, widths: IntArray) -> Variant:
        """Return the network of these widths, shape (groups,); at full widths the unpruned one as it was given.

        Raises:
            ContractError: A part did not come out as wide as it was decoded, or `widths` has another shape.
        """
        units = self._bench.structure.units
        if widths.shape != (len(units),):
            raise ContractError(f"widths: expected one per coupling group, shape ({len(units)},), found {widths.shape}")
        return self._variant(self.kept(widths), tuple(widths.tolist()))

    def variant_of(self, kept: Kept) -> Variant:
        """Return the network in which exactly these units of each coupling group stay.

        Raises:
            ContractError: A part did not come out as wide as it was decoded, or a group has no units.
        """
        units = self._bench.structure.units
        if len(kept) != len(units) or any(len(own) == 0 for own in kept):
            raise ContractError(
                f"kept: expected one or more units of each of {len(units)} coupling groups, found "
                f"{[len(own) for own in kept]}"
            )
        # The units themselves, where they are not simply the best of their number.
        marks = [
            len(own) if np.array_equal(own, self._best(group, len(own))) else own.tobytes()
            for group, own in enumerate(kept)
        ]
        return self._variant(kept, tuple(marks))

    def _variant(self, kept: Kept, marks: tuple[Hashable, ...]) -> Variant:
        """Return the network of these units; equal marks of a coupling group mean equal units."""
        units = self._bench.structure.units
        if marks == units:
            return Variant(self._bench.network, {}, adapted=False)
        versions = {
            path: tuple(marks[group] for group in groups)
            for path, groups in self._touching.items()
            if any(marks[group] != units[group] for group in groups)
        }
        cuts = {path: self._cut(path, version, kept) for path, version in versions.items()}
        rows = {path: cut.rows for path, cut in cuts.items() if cut.rows is not None}
        return Variant(_assembled(self._bench, cuts), versions, rows=rows)

    def _best(self, group: int, width: int) -> IntArray:
        if (group, width) not in self._ranked:
            best = kept_units(self._scores[group], width)
            best.setflags(write=False)
            self._ranked[group, width] = best
        return self._ranked[group, width]

    def _cut(self, path: str, version: tuple[Hashable, ...], kept: Kept) -> _Cut:
        found = self._cuts.get((path, version))
        if found is None:
            found = self._cut_anew(path, kept)
            self._cuts.put((path, version), found, bytes_of([*found.module.parameters(), *found.module.buffers()]))
        return found

    def _cut_anew(self, path: str, kept: Kept) -> _Cut:
        part, alone = self._bench.structure.part(path), self._alone[path]
        holder = _holder(self._bench.network, part)
        made = pruned_module(holder, alone, [kept[group] for group in self._touching[path]])
        changed = self._compensated(part, kept)
        made = with_tensors(made, {f"{_OWN}{name.removeprefix(path)}": tensor for name, tensor in changed.items()})
        rows = None
        if (
            part.weighted
            and part.outgoing is not None
            and not changed
            and not (part.incoming is not None and part.incoming.varies)
        ):
            rows = torch.from_numpy(part.outgoing.staying(kept)).to(self._bench.device)
        return _Cut(made, rows)

    def _compensated(self, part: Part, kept: Kept) -> Mapping[str, torch.Tensor]:
        if self._compensation is None:
            return {}
        unpruned = tensors_of(self._bench.network, part)
        return self._compensation.tensors(part, unpruned, kept, self._statistics)


_OWN = "part"


def _alone(structure: Structure, part: Part) -> Structure:
    """Return the structure of one part by itself, its coupling groups numbered from 0."""
    numbers = touching(part)
    groups = tuple(
        CouplingGroup(structure.groups[number].name, structure.groups[number].units, ()) for number in numbers
    )
    own = replace(
        part, path=_OWN, incoming=_renumbered(part.incoming, numbers), outgoing=_renumbered(part.outgoing, numbers)
    )
    return replace(structure, groups=groups, parts=(own,), wholes=(), broken={})


def _renumbered(wiring: Wiring | None, numbers: tuple[int, ...]) -> Wiring | None:
    if wiring is None:
        return None
    groups = np.full_like(wiring.groups, FIXED)
    for new, number in enumerate(numbers):
        groups[wiring.groups == number] = new
    return Wiring(groups, wiring.units)


def _holder(network: nn.Module, part: Part) -> nn.Module:
    """Return a module that holds nothing but the part."""
    holder = nn.Module()
    if part.kind == PARAMETER:
        holder.register_parameter(_OWN, network.get_parameter(part.path))
    elif part.kind == BUFFER:
        holder.register_buffer(_OWN, network.get_buffer(part.path))
    elif part.kind == NUMBER:
        holder.__dict__[_OWN] = 0  # what it was is of no use: it is counted anew
    else:
        holder.add_module(_OWN, network.get_submodule(part.path))
    return holder


def _assembled(bench: Bench, cuts: Mapping[str, _Cut]) -> nn.Module:
    """Return a clone of the unpruned network with these parts in their places."""
    made = clone(bench.network)
    for path, cut in cuts.items():
        own = cut.module.__dict__
        if _OWN in own:
            set_number(made, path, own[_OWN])
            continue
        parent, _, name = path.rpartition(".")
        holder = made.get_submodule(parent).__dict__  # of this clone alone; setattr would check and register, slowly
        for kind in ("_parameters", "_buffers"):
            if _OWN in own[kind]:
                holder[kind][name] = own[kind][_OWN]
        if _OWN in own["_modules"]:
            # The module stays the same object, so that every name the network has for it finds the smaller one.
            holder["_modules"][name].__dict__.update(clone(own["_modules"][_OWN]).__dict__)
    return made
