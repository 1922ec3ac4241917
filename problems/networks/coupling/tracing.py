"""A network's structure read off a run of it, by the dependency graph of Torch-Pruning; meant for a process of its own.

Run as a script it reads a request as JSON from standard input and writes the structure, or a refusal, as JSON.
"""

from __future__ import annotations

import fnmatch
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError, EmopruneError
from emoprune.problems.networks.coupling.checking import broken_groups
from emoprune.problems.networks.coupling.graph import CAUSE, UNFOLLOWED, Linked, linked
from emoprune.problems.networks.coupling.kinds import PARAMETER, reads_and_makes
from emoprune.problems.networks.coupling.linking import Channels, coupled
from emoprune.problems.networks.coupling.observing import Observed, observed
from emoprune.problems.networks.coupling.structure import Part, Structure

__all__ = ["trace"]


def trace(network: nn.Module, input_shape: Sequence[int], ignored: Sequence[str] = ()) -> Structure:
    """Return the structure of a network, found by running it on one image in eval mode.

    Channels put out by parts whose path matches a pattern of `ignored` stay whole. Sources: Fang et al., DepGraph:
    Towards Any Structural Pruning, arXiv 2301.12900, in the library's implementation; its links between channels are
    closed transitively here, so that no root and no ratio of its own decides.

    Raises:
        ConfigError: The network cannot be run or traced, holds tied weights, or uses one weight twice.
    """

    def is_ignored(path: str) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in ignored)

    network.eval()
    _check_patterns(network, ignored)
    shared = _shared_layers(network)
    _check_untied(shared, is_ignored)
    image = torch.randn((1, *input_shape), generator=torch.Generator().manual_seed(0))
    seen = observed(network, image, is_ignored)
    found = linked(network, image, seen)
    for path in found.kinds:
        if is_ignored(path):
            serving_twice = path in shared or (path in seen.ran and seen.ran[path].times > 1)
            found.links.fix(path, "named in `ignore`", ("in", "out") if serving_twice else ("out",))
    return _without_doubts(network, tuple(input_shape), found, seen)


def _without_doubts(network: nn.Module, input_shape: tuple[int, ...], found: Linked, seen: Observed) -> Structure:
    """Return the structure in which whatever slicing was only tried on stays whole if it did not work."""
    while True:
        structure = _structure(network, input_shape, found, seen)
        members = [side for group in structure.groups if group.name in structure.broken for side in group.members]
        doubtful = {side: found.doubts[side[0]] for side in members if side[0] in found.doubts}
        if not doubtful and found.unfollowed:
            path, why = next(iter(found.unfollowed.items()))
            doubtful = dict.fromkeys(members, f"{UNFOLLOWED} to the end ({path}: {why}); {CAUSE}")
        if not doubtful:
            return structure
        for (path, side), reason in doubtful.items():
            found.links.fix(path, reason, (side,))


def _structure(network: nn.Module, input_shape: tuple[int, ...], found: Linked, seen: Observed) -> Structure:
    producing = frozenset(path for path, kind in found.kinds.items() if _produces(network, path, kind))
    channels = coupled(found.links, {path: seen.order(path) for path in found.kinds}, producing)
    parts = [_part(network, path, found, channels, seen) for path in found.kinds]
    parts.sort(key=lambda part: seen.order(part.path))
    structure = Structure(input_shape, seen.classes, channels.groups, tuple(parts), channels.wholes)
    broken, functional = broken_groups(network, structure), _functional_macs(network, structure)
    return replace(structure, broken=broken, functional_macs=functional)


def _produces(network: nn.Module, path: str, kind: str) -> bool:
    return kind != PARAMETER and reads_and_makes(network.get_submodule(path))


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
    if kind == PARAMETER:
        return Part(path, kind, None, outgoing, dimension=found.axes[path])
    module: Any = network.get_submodule(path)
    if not reads_and_makes(module):
        groups = module.num_groups if isinstance(module, nn.GroupNorm) else 1
        return Part(path, kind, None, outgoing, conv_groups=groups)
    applied = seen.ran[path].taken if kind.startswith("ConvTranspose") else seen.ran[path].shapes
    linear = isinstance(module, nn.Linear)
    positions = sum(math.prod(shape[:-1] if linear else shape[1:]) for shape in applied)
    kernel = 1 if linear else math.prod(module.kernel_size)
    return Part(path, kind, incoming, outgoing, getattr(module, "groups", 1), positions, kernel)


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
