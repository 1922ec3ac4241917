"""Links between channels: a network's tensors with their channels numbered, and what its forward does to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.problems.networks.coupling.following.axes import Axes, Labels
from emoprune.problems.networks.coupling.following.calls import Choice
from emoprune.problems.networks.coupling.following.follower import Follower, numbered
from emoprune.problems.networks.coupling.following.places import Place, place_of_error
from emoprune.problems.networks.coupling.following.rules import rule_of, selecting
from emoprune.problems.networks.coupling.kinds import (
    BUFFER,
    KNOWN,
    NUMBER,
    PARAMETER,
    kind_of,
    reads_and_makes,
    uncovered,
)
from emoprune.problems.networks.coupling.linking import Links

__all__ = ["Avoided", "AvoidedChoice", "Linked", "Tensors", "linked", "tensors_of_network"]

AvoidedChoice = tuple[tuple[Place | None, tuple[int, ...]], int]  # where in the code it is made, and which it is
Avoided = frozenset[AvoidedChoice]


@dataclass(slots=True, eq=False)
class Tensors:
    """The tensors of a network with their channels numbered, always in the same way.

    `axes` are by a tensor's identity; `bare` holds by name the axes of those that are no layer's own, `kinds` by path
    the kind of each layer that slicing is known for; `owners` says by the first channel of a convolution's kernel whose
    it is; `within` are by path the channels that a grouped convolution's kernel counts of each of its groups.
    """

    links: Links = field(default_factory=Links)
    axes: dict[int, Axes] = field(default_factory=dict)
    bare: dict[str, Axes] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    owners: dict[int, str] = field(default_factory=dict)
    within: dict[str, Labels] = field(default_factory=dict)
    bare_channels: tuple[int, int] = (0, 0)  # from which number to which they lie along bare tensors

    def follower(self, avoided: Avoided = frozenset(), stays: NDArray[np.bool_] | None = None) -> Follower:
        """Return what follows these channels through a run of the network."""
        return Follower(
            self.links,
            self.axes,
            rule_of,
            selecting,
            avoided=avoided,
            stays=stays,
            owners=self.owners,
            bare=self.bare_channels,
        )


@dataclass(slots=True, eq=False)
class Linked:
    """The links of a network and its parts.

    `kinds`, `dimensions` and `places` are by path: a part's kind, which axis of a bare tensor holds channels, and of
    each place of an image at which a layer's weight is applied the channel. `choices` were made on the way.
    """

    links: Links
    kinds: dict[str, str]
    dimensions: dict[str, int]
    places: dict[str, Labels]
    choices: list[Choice]


def linked(network: nn.Module, image: torch.Tensor, avoided: Avoided = frozenset()) -> Linked:
    """Return the links between channels that a run of the network on one image shows.

    What the network gives out never goes. `avoided` are choices that turned out badly.
    """
    own = numbered(network)
    known = tensors_of_network(own)
    follower = known.follower(avoided)
    try:
        given = follower.follow(own, image)
    except Exception as error:  # it ran before: what follows it met something that no rule here is written for
        return _all_whole(network, error)
    for labels in follower.axes(given) or ():
        if labels is not None:
            known.links.fixed_channels.append((labels, "they are the network's outputs"))
    places = {path: np.concatenate(own) for path, own in follower.places.items()}
    found = Linked(known.links, dict(known.kinds), {}, places, follower.choices)
    for counted in follower.counted:
        path, name, place = counted.source
        _add_number(found, ".".join(filter(None, (path, name, None if place is None else str(place)))), counted.labels)
    _add_bare(found, known, {name for name, _ in network.named_parameters()})
    return found


def _all_whole(network: nn.Module, error: Exception) -> Linked:
    """Return the layers of a network, none of whose channels ever goes."""
    known = tensors_of_network(network)
    place = place_of_error(error)
    reason = f"its forward cannot be followed: {type(error).__name__}: {error}".splitlines()[0][:200]
    for path in known.kinds:
        known.links.fix(path, reason if place is None else f"{reason} ({place})")
    return Linked(known.links, dict(known.kinds), {}, {}, [])


def tensors_of_network(network: nn.Module) -> Tensors:
    """Return the channels of all tensors of a network, nothing of them linked but what layers link by themselves."""
    made = Tensors()
    for path, module in network.named_modules():
        if isinstance(module, KNOWN):
            _add_layer(made, path, module)
    first = made.links.total
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if id(tensor) not in made.axes and tensor.is_floating_point():
            made.bare[name] = tuple(made.links.free(size) if size > 1 else None for size in tensor.shape)
            made.axes[id(tensor)] = made.bare[name]
    made.bare_channels = first, made.links.total
    return made


def _add_layer(made: Tensors, path: str, module: Any) -> None:
    made.kinds[path] = kind_of(module)
    if reads_and_makes(module):
        _add_weighted(made, path, module)
    else:
        width = _width(module)
        side = made.links.add((path, "out"), width)
        for name in ("weight", "bias", "running_mean", "running_var"):
            tensor = getattr(module, name, None)
            if isinstance(tensor, torch.Tensor) and tuple(tensor.shape) == (width,):
                made.axes[id(tensor)] = (side if width > 1 else None,)
            elif isinstance(tensor, torch.Tensor) and tensor.ndim:
                made.axes[id(tensor)] = (side, *[None] * (tensor.ndim - 1))
        if isinstance(module, nn.GroupNorm):
            size = width // module.num_groups
            made.links.join(side, np.resize(side[:size], width))
    reason = uncovered(module)
    if reason is not None:
        made.links.fix(path, reason)


def _width(module: Any) -> int:
    if isinstance(module, nn.LayerNorm):
        return int(module.normalized_shape[0])
    for name in ("num_features", "num_channels", "num_parameters"):
        if hasattr(module, name):
            return int(getattr(module, name))
    return 1


def _add_weighted(made: Tensors, path: str, module: Any) -> None:
    linear = isinstance(module, nn.Linear)
    groups = 1 if linear else module.groups
    incoming, outgoing = (
        (module.in_features, module.out_features) if linear else (module.in_channels, module.out_channels)
    )
    taken, out = made.links.add((path, "in"), incoming), made.links.add((path, "out"), outgoing)
    if module.bias is not None:
        made.axes[id(module.bias)] = (out,)
    transposed = not linear and module.transposed
    within = taken if not transposed else out
    second: Labels | None = within
    if groups > 1:  # a kernel counts the channels of one of its groups; a depthwise one has none to count
        size = len(within) // groups
        second = made.links.free(size) if size > 1 else None
    if groups > 1 and second is not None and not transposed:
        made.within[path] = second
    around = [None] * (module.weight.ndim - 2)
    _add_weight(made, path, module.weight, (taken if transposed else out, second, *around))
    if groups > 1:
        _join_within(made.links, taken, out, groups)


def _add_weight(made: Tensors, path: str, weight: torch.Tensor, axes: Axes) -> None:
    """Number a kernel; one that another layer has, too, goes with it."""
    before = made.axes.get(id(weight))
    for one, other in zip(before or (), axes, strict=False):
        if one is not None and other is not None:
            made.links.join(one, other)
    if before is None:
        made.axes[id(weight)] = axes
        if axes[0] is not None:
            made.owners[int(axes[0][0])] = path


def _join_within(links: Links, taken: Labels, out: Labels, groups: int) -> None:
    """Link the channels that a grouped convolution forces to go together.

    Every convolution group must lose as many channels as the others: the same ones. A depthwise filter goes with the
    channel that it reads.
    """
    if groups == len(taken):
        links.join(np.repeat(taken, len(out) // groups), out)
        return
    for side in (taken, out):
        links.join(side, np.resize(side[: len(side) // groups], len(side)))


def _add_number(found: Linked, path: str, labels: Labels) -> None:
    """Take in a number of channels; where it is used twice, it counts the same ones."""
    side = (path, "out")
    if side in found.links.sides:
        found.links.join(found.links.sides[side], labels)
        return
    found.kinds[path] = NUMBER
    found.links.sides[side] = labels
    found.links.counts.add(side)


def _add_bare(found: Linked, known: Tensors, parameters: set[str]) -> None:
    """Take in the bare tensors that channels lead to, by the axis that holds them."""
    joined, fixed = (np.zeros(found.links.total, dtype=np.bool_) for _ in range(2))
    for pair in found.links.pairs:
        joined[pair.ravel()] = True
    for labels, _ in found.links.fixed_channels:
        fixed[labels] = True
    for name, axes in known.bare.items():
        touched = {axis: own for axis, own in enumerate(axes) if own is not None and (joined | fixed)[own].any()}
        going = {axis: own for axis, own in touched.items() if not fixed[own].all()}
        for labels in list(going.values())[1:] and list(going.values()):
            found.links.fixed_channels.append((labels, f"two axes of {name} hold channels"))
        if touched:
            axis = min(going or touched)
            found.kinds[name], found.dimensions[name] = (PARAMETER if name in parameters else BUFFER), axis
            found.links.sides[name, "out"] = touched[axis]
