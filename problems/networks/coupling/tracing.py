"""A network's structure read off a run of it, its channels followed by index; meant for a process of its own.

Run as a script it reads a request as JSON from standard input and writes the structure, or a refusal, as JSON.
"""

from __future__ import annotations

import fnmatch
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.errors import ConfigError, EmopruneError
from emoprune.problems.networks.coupling.checking import Check
from emoprune.problems.networks.coupling.following.axes import NOWHERE
from emoprune.problems.networks.coupling.graph import Avoided, AvoidedChoice, Linked, linked
from emoprune.problems.networks.coupling.kinds import BUFFER, NUMBER, PARAMETER, reads_and_makes
from emoprune.problems.networks.coupling.linking import TOGETHER, UNREAD, Channels, GroupOf, coupled
from emoprune.problems.networks.coupling.observing import Observed, observed
from emoprune.problems.networks.coupling.structure import Part, Structure, Whole, Wiring

__all__ = ["trace"]


def trace(network: nn.Module, input_shape: Sequence[int], ignored: Sequence[str] = ()) -> Structure:
    """Return the structure of a network, found by running it on one image in eval mode.

    Channels put out by parts whose path matches a pattern of `ignored` stay whole, and so do those that slicing turns
    out not to work for, with the reason.

    Raises:
        ConfigError: The network cannot be run, holds tied weights, or lets an image's result depend on its batch.
    """

    def is_ignored(path: str) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in ignored)

    network.eval()
    _check_patterns(network, ignored)
    shared = _shared_layers(network)
    _check_untied(shared, is_ignored)
    image = torch.randn((1, *input_shape), generator=torch.Generator().manual_seed(0))
    seen = observed(network, image)
    whole: dict[str, tuple[str, tuple[str, ...]]] = {
        path: ("named in `ignore`", ("in", "out") if path in shared or seen.times(path) > 1 else ("out",))
        for path, _ in (*network.named_modules(), *network.named_parameters())
        if is_ignored(path)
    }
    return Tracing(network, tuple(input_shape), image, seen, whole, Check.of(network, input_shape)).structure()


@dataclass(slots=True, eq=False)
class Tracing:
    """The search for the structure of one network: what is tried, what is given up, and why."""

    network: nn.Module
    input_shape: tuple[int, ...]
    image: torch.Tensor
    seen: Observed
    whole: dict[str, tuple[str, tuple[str, ...]]]  # by path, why channels stay, and on which sides
    check: Check
    avoided: Avoided = frozenset()
    tried: dict[str, str] = field(default_factory=dict)  # by path, why another way to split its channels failed

    def structure(self) -> Structure:
        """Return the structure in which whatever cannot be sliced stays whole."""
        while True:
            found = self._linked()
            structure, places = self._structure(found)
            if not structure.broken:
                wholes = tuple(self._with_first_reason(whole) for whole in structure.wholes)
                return replace(structure, functional_macs=_functional_macs(self.network, structure), wholes=wholes)
            other = self._other_way(found, structure, places)
            if other is not None:
                self.avoided |= {other}
                self.tried = {path: reason for path, (reason, _) in _given_up(structure).items()} | self.tried
            else:
                self.whole |= _given_up(structure)

    def _with_first_reason(self, whole: Whole) -> Whole:
        """Return what stays with the reason why its channels cannot be split as they were first taken to be."""
        return (
            replace(whole, reason=self.tried.get(whole.path, whole.reason))
            if whole.reason in {UNREAD, TOGETHER}
            else whole
        )

    def _structure(self, found: Linked) -> tuple[Structure, GroupOf]:
        network, seen = self.network, self.seen
        producing = frozenset(path for path, kind in found.kinds.items() if _produces(network, path, kind))
        channels = coupled(found.links, {path: seen.order(path) for path in found.kinds}, producing)
        used = [path for path in found.kinds if _is_used(path, channels, seen)]
        parts = [_part(network, path, found, channels, seen) for path in used]
        parts.sort(key=lambda part: seen.order(part.path))
        structure = Structure(self.input_shape, seen.classes, channels.groups, tuple(parts), channels.wholes)
        return replace(structure, broken=self.check.broken(structure)), channels.groups_of

    def _linked(self) -> Linked:
        found = linked(self.network, self.image, self.avoided)
        for path, (reason, sides) in self.whole.items():
            found.links.fix(path, reason, sides)
        return found

    def _other_way(self, found: Linked, structure: Structure, places: GroupOf) -> AvoidedChoice | None:
        """Return a choice that a broken group depends on and that could have been made otherwise."""
        numbers = {number for number, group in enumerate(structure.groups) if group.name in structure.broken}
        for choice in found.choices:
            if choice.others and not numbers.isdisjoint(places(choice.atoms)):
                return choice.key, choice.taken
        return None


def _given_up(structure: Structure) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return by layer why its channels stay: slicing them does not work."""
    broken = {group: structure.broken[group.name] for group in structure.groups if group.name in structure.broken}
    return {path: (reason, ("out",)) for group, reason in broken.items() for path in group.producers}


def _is_used(path: str, channels: Channels, seen: Observed) -> bool:
    """Whether a part ran, or holds channels that can go."""
    if path in seen.ran:
        return True
    wirings = (channels.wirings.get((path, side)) for side in ("in", "out"))
    return any(wiring is not None and wiring.varies for wiring in wirings)


def _produces(network: nn.Module, path: str, kind: str) -> bool:
    return kind not in {PARAMETER, BUFFER, NUMBER} and reads_and_makes(network.get_submodule(path))


def _shared_layers(network: nn.Module) -> dict[str, tuple[str, str]]:
    """Return by path the layers that share a weight, each with the two names of that weight."""
    owners: dict[int, str] = {}
    shared: dict[str, tuple[str, str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        owner = owners.setdefault(id(parameter), name)
        if owner != name:
            shared |= dict.fromkeys((owner.rpartition(".")[0], name.rpartition(".")[0]), (owner, name))
    return shared


def _check_untied(shared: Mapping[str, tuple[str, str]], is_ignored: Callable[[str], bool]) -> None:
    for path, (owner, name) in shared.items():
        if not is_ignored(path):
            raise ConfigError(
                f"network: {owner!r} and {name!r} are one tied weight, which cannot be cut for two layers at once; "
                "give each layer its own, or leave both whole with `ignore`"
            )


def _check_patterns(network: nn.Module, ignored: Sequence[str]) -> None:
    paths = [path for path, _ in network.named_modules()] + [path for path, _ in network.named_parameters()]
    for pattern in ignored:
        if not any(fnmatch.fnmatchcase(path, pattern) for path in paths):
            raise ConfigError(f"ignore: no layer of the network matches {pattern!r}; the first are {paths[1:6]}")


def _part(network: nn.Module, path: str, found: Linked, channels: Channels, seen: Observed) -> Part:
    kind = found.kinds[path]
    incoming, outgoing = channels.wirings.get((path, "in")), channels.wirings.get((path, "out"))
    if kind in {PARAMETER, BUFFER, NUMBER}:
        return Part(path, kind, None, outgoing, dimension=found.dimensions.get(path, 0))
    module: Any = network.get_submodule(path)
    if not reads_and_makes(module):
        groups = module.num_groups if isinstance(module, nn.GroupNorm) else 1
        return Part(path, kind, None, outgoing, conv_groups=groups)
    linear = isinstance(module, nn.Linear)
    transposed = kind.startswith("ConvTranspose")
    applied = seen.taken(path) if transposed else seen.shapes(path)
    # Places may have been folded into the batch, too: of one image, all that is not a channel is a place.
    positions = sum(map(math.prod, applied)) // len((incoming if transposed else outgoing) or (0,))
    if path not in seen.ran:  # its weight is taken without running it
        positions = len(found.places.get(path, ()))
    kernel = 1 if linear else math.prod(module.kernel_size)
    along = _along(found, path, channels, positions)
    return Part(path, kind, incoming, outgoing, getattr(module, "groups", 1), positions, kernel, along=along)


def _along(found: Linked, path: str, channels: Channels, positions: int) -> Wiring | None:
    """Return which channels the places are at which a layer is applied, if any that can go, and each equally often."""
    places = found.places.get(path)
    if places is None or len(places) != positions or (places == NOWHERE).all():
        return None
    wiring = channels.wiring_of(places)
    alike = all(
        len(set(np.bincount(wiring.units[wiring.groups == number], minlength=group.units))) == 1
        for number, group in enumerate(channels.groups)
    )
    return wiring if wiring.varies and alike else None


def _functional_macs(network: nn.Module, structure: Structure) -> int:
    """Return how many multiply-accumulates one image takes outside of convolutions and linear layers."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros((1, *structure.input_shape)))
    counted = 0
    for part in structure.weighted:
        incoming, outgoing = len(part.incoming or ()), len(part.outgoing or ())
        counted += part.positions * part.kernel * incoming * outgoing // part.conv_groups
    return max(0, int(counter.get_total_flops()) // 2 - counted)


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    from emoprune.problems.compute.device import seeded
    from emoprune.problems.networks.unpruned.by_name import network_named

    sys.path[:] = request["path"]
    try:
        with seeded(0):
            network = network_named(request["network"])
        structure = trace(network.float(), request["input_shape"], request["ignored"])
    except EmopruneError as error:
        return {"refused": str(error)}
    return {"structure": structure.as_json()}


if __name__ == "__main__":
    answer = _answer(json.load(sys.stdin))
    sys.stdout.write("\n" + json.dumps(answer))
