"""Links between channels, read off Torch-Pruning's dependency graph: what goes along with each layer's channels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.kinds import KNOWN, PARAMETER, kind_of, name_of, reads_and_makes, uncovered
from emoprune.problems.networks.coupling.linking import Links, Side
from emoprune.problems.networks.coupling.observing import Observed

__all__ = ["CAUSE", "UNFOLLOWED", "Linked", "linked"]

UNFOLLOWED = "the ways of its channels cannot be followed"
CAUSE = "splitting, shuffling or reshaping channels is the usual cause"


@dataclass(slots=True, eq=False)
class Linked:
    """The links of a network, its parts, and what is not sure about them.

    `kinds` and `axes` are by path: a part's kind, and which axis of a bare parameter holds channels. `doubts` says by
    path what slicing is only tried on and has to be seen to work; `unfollowed` says of layers why their channels' ways
    are not known: any group may then hold less than it should.
    """

    links: Links = field(default_factory=Links)
    kinds: dict[str, str] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    unfollowed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Join:
    """Channels of a layer, and the channels of another side that go with them, pair by pair."""

    path: str
    channels: Sequence[int]
    target: str
    taken_in: bool
    others: Sequence[int]


def linked(network: nn.Module, image: torch.Tensor, seen: Observed) -> Linked:
    """Return the links between channels that Torch-Pruning finds from each part; all fixed where it finds none.

    Raises:
        ConfigError: Gradients do not flow back through the network.
    """
    with _concatenations_before_a_flatten():
        try:
            graph = _graph(network, image)
        except ConfigError:
            raise
        except Exception as error:  # whatever the library cannot follow
            return _all_whole(network, seen, f"{UNFOLLOWED} ({type(error).__name__}: {error}); {CAUSE}")
        names: dict[int, str] = {id(module): path for path, module in network.named_modules()}
        parameters = {id(parameter): path for path, parameter in network.named_parameters()}
        found = Linked()
        _add_layers(found, graph, network, names, seen)
        joins = _joins(found, graph, names | parameters)
    _add_parameters(found, graph, parameters, joins)
    for join in joins:
        _join(found, join)
    for path in found.kinds:
        module = network.get_submodule(path) if found.kinds[path] != PARAMETER else None
        if module is not None and reads_and_makes(module):
            _join_within(found.links, path, module)
        elif isinstance(module, nn.GroupNorm):
            _join_alike(found.links, (path, "out"), module.num_groups)
    return found


def _graph(network: nn.Module, image: torch.Tensor) -> Any:
    import torch_pruning

    wanted = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")  # about parameters outside of layers; the check by masking covers them
        try:
            network.requires_grad_(requires_grad=True)
            _check_gradients(network(image))
            # Fresh dictionaries: the library's defaults are shared by all graphs of a process.
            return torch_pruning.DependencyGraph().build_dependency(
                network, image, unwrapped_parameters=[], customized_pruners={}, verbose=False
            )
        finally:
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(wanted[name])


def _all_whole(network: nn.Module, seen: Observed, reason: str) -> Linked:
    """Return the layers that multiply, none of whose channels ever goes."""
    found = Linked()
    for path, module in network.named_modules():
        if path in seen.ran and reads_and_makes(module):
            _add_producer(found, path, module)
            found.links.fix(path, reason)
    return found


def _check_gradients(output: torch.Tensor) -> None:
    if not output.requires_grad:
        raise ConfigError(
            "network: its layers' dependencies cannot be traced: gradients must flow from its output back to its "
            "layers; remove detach, no_grad and the like from its forward"
        )


@contextmanager
def _concatenations_before_a_flatten() -> Iterator[None]:
    """Let Torch-Pruning 1.6.1 follow a concatenation of channels that is flattened into a linear layer.

    It holds the sum of the channels against the linear layer's features, which count every pixel, takes the difference
    for another axis, and then maps both branches to the same features. Where the axis is known to be that of the
    channels, there is nothing to infer.
    """
    from torch_pruning.dependency import shape_infer
    from torch_pruning.ops import OPTYPE

    original = shape_infer.infer_in_channels_recursively

    def inferred(graph: Any, node: Any, recursive_depth: list[int]) -> int | None:
        of_channels = node.type == OPTYPE.CONCAT and getattr(node.grad_fn, "_saved_dim", None) == 1
        found: int | None = None if of_channels and recursive_depth == [0] else original(graph, node, recursive_depth)
        return found

    shape_infer.infer_in_channels_recursively = inferred
    try:
        yield
    finally:
        shape_infer.infer_in_channels_recursively = original


def _add_layers(found: Linked, graph: Any, network: nn.Module, names: Mapping[int, str], seen: Observed) -> None:
    """Take in the layers that ran and hold channels, those that slicing is not known for as ones that stay whole."""
    for module in graph.module2node:
        path = names.get(id(module))
        if path is None or path not in seen.ran:
            continue
        if isinstance(module, KNOWN) or any(True for _ in module.parameters()):
            _add_layer(found, path, module, graph)
    for path, module in network.named_modules():
        if path in seen.ran and path not in found.kinds and reads_and_makes(module):
            _add_layer(found, path, module, graph)
            found.links.fix(path, "gradients do not flow back to it, so its dependencies are not known")


def _add_layer(found: Linked, path: str, module: Any, graph: Any) -> None:
    if reads_and_makes(module):
        _add_producer(found, path, module)
    else:
        found.kinds[path] = kind_of(module)
        pruner = graph.get_pruner_of_module(module)
        sides = {} if pruner is None else {"out": pruner.get_out_channels(module)}
        if pruner is not None and not isinstance(module, KNOWN):
            sides["in"] = pruner.get_in_channels(module)
        for side, width in sides.items():
            if width is not None:
                found.links.add((path, side), width)
    reason = uncovered(module)
    if reason is not None:
        found.links.fix(path, reason)
    elif type(module) not in KNOWN:  # it may compute anything
        found.doubts[path] = f"no slicing is known for a {name_of(module)}"


def _add_producer(found: Linked, path: str, module: Any) -> None:
    found.kinds[path] = kind_of(module)
    linear = isinstance(module, nn.Linear)
    found.links.add((path, "in"), module.in_features if linear else module.in_channels)
    found.links.add((path, "out"), module.out_features if linear else module.out_channels)


def _joins(found: Linked, graph: Any, names: Mapping[int, str]) -> list[_Join]:
    """Return, for every layer that makes channels, the channels that go when its own go."""
    joins = []
    for module in list(graph.module2node):
        path = names.get(id(module))
        if path is None or path not in found.kinds or not reads_and_makes(module):
            continue
        pruner = graph.get_pruner_of_module(module)
        width = found.links.widths[path, "out"]
        try:
            group = graph.get_pruning_group(module, pruner.prune_out_channels, list(range(width)))
        except Exception as error:  # whatever the library cannot follow
            found.unfollowed[path] = f"{type(error).__name__}: {error}"
            continue
        for item in group:
            target = names.get(id(item.dep.target.module))
            taken_in = graph.is_in_channel_pruning_fn(item.dep.handler)
            taken_in = taken_in and not graph.is_out_channel_pruning_fn(item.dep.handler)
            if target is not None:
                joins.append(_Join(path, list(item.root_idxs), target, taken_in, list(item.idxs)))
    for path, why in found.unfollowed.items():
        found.links.fix(path, f"{UNFOLLOWED} ({why}); {CAUSE}", ("out",))
    return joins


def _add_parameters(found: Linked, graph: Any, parameters: Mapping[int, str], joins: Sequence[_Join]) -> None:
    """Take in the bare parameters, by the axis that has as many places as channels lead to it."""
    for module, node in graph.module2node.items():
        path = parameters.get(id(module))
        if path is None or not isinstance(module, nn.Parameter):
            continue
        needed = max((max(join.others) + 1 for join in joins if join.target == path and len(join.others)), default=0)
        shape = tuple(module.shape)
        fitting = [axis for axis, size in enumerate(shape) if size == needed]
        guessed = shape[node.pruning_dim] == needed or not fitting
        axis = node.pruning_dim if guessed else fitting[-1]
        if len(shape) == 4 and 1 in fitting:  # that of the channels, whatever the image's size is
            axis = 1
        found.kinds[path], found.axes[path] = PARAMETER, axis
        found.links.add((path, "out"), shape[axis])
        found.doubts[path] = f"no axis of this parameter of shape {list(shape)} is known to hold channels"


def _join(found: Linked, join: _Join) -> None:
    """Link channels with those that go along, if there are so many on that side at all."""
    own, other = (join.path, "out"), (join.target, "in" if join.taken_in else "out")
    links = found.links
    if other not in links.starts:
        other = (join.target, "out")
    if other not in links.starts:
        return
    fits = max(join.channels, default=0) < links.widths[own] and max(join.others, default=0) < links.widths[other]
    if fits and len(join.channels) == len(join.others):
        links.join(own, join.channels, other, join.others)
        return
    why = f"{max(join.others, default=0) + 1} channels seem to lead to {links.widths[other]} of {join.target}"
    found.unfollowed.setdefault(join.path, why)
    for path, side in (own, other):
        links.fix(path, f"{UNFOLLOWED} ({why}); {CAUSE}", (side,))


def _join_within(links: Links, path: str, module: Any) -> None:
    """Link the channels that a grouped convolution forces to go together.

    Every convolution group must lose as many channels as the others: the same ones. A depthwise filter goes with the
    channel that it reads.
    """
    groups = getattr(module, "groups", 1)
    if groups == 1:
        return
    incoming, outgoing = links.widths[path, "in"], links.widths[path, "out"]
    if groups == incoming:
        per_channel = outgoing // groups
        links.join((path, "in"), [i // per_channel for i in range(outgoing)], (path, "out"), list(range(outgoing)))
        return
    for side in ("in", "out"):
        _join_alike(links, (path, side), groups)


def _join_alike(links: Links, side: Side, groups: int) -> None:
    """Link the channels that stand at the same place of each of several groups."""
    width = links.widths[side]
    size = width // groups
    links.join(side, [i % size for i in range(width)], side, list(range(width)))
