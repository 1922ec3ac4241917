"""The channels that every index of every tensor in a network's forward belongs to, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emoprune.problems.networks.coupling.following.axes import Axes, Labels
from emoprune.problems.networks.coupling.following.calls import Call, Choice, Counted
from emoprune.problems.networks.coupling.following.comparing import Sums, sums_of
from emoprune.problems.networks.coupling.following.kept import Selected, over_kept
from emoprune.problems.networks.coupling.following.modes import Functions, Operations
from emoprune.problems.networks.coupling.following.numbers import Number, number_attributes
from emoprune.problems.networks.coupling.following.places import Place, place_of_call
from emoprune.problems.networks.coupling.linking import Links
from emoprune.problems.networks.coupling.pruned_module import clone

__all__ = ["Follower", "Rule", "numbered"]


class Rule(Protocol):
    """What one kind of operations does to the axes of its arguments: the axes of its outputs, one per tensor."""

    def __call__(self, follower: Follower, call: Call, /) -> Sequence[Axes]:
        """Return the axes of the outputs, in order; none at all where nothing along any of them ever goes."""


@dataclass(slots=True, eq=False)
class Follower:
    """Runs a network and follows its channels.

    `links` takes what goes together and what never goes; `avoided` are choices that turned out badly. With `stays`, by
    channel, what is computed over channels sees only those that stay, and the rest of the network is as it is: so runs
    the masked network that slicing is held against.
    """

    links: Links
    tensors: Mapping[int, Axes]  # of parameters and buffers, by their identity
    rules: Callable[[str, Any], Rule | None]
    selecting: Callable[[Call, Sequence[Axes | None]], tuple[Selected, Selected]]
    avoided: frozenset[tuple[tuple[Place | None, tuple[int, ...]], int]] = frozenset()
    stays: NDArray[np.bool_] | None = None
    owners: Mapping[int, str] = field(default_factory=dict)
    bare: tuple[int, int] = (0, 0)  # from which channel to which they are those of bare tensors
    choices: list[Choice] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    places: dict[str, list[Labels]] = field(default_factory=dict)  # by layer, the channels of those it is applied at
    numbers: tuple[Number, ...] = ()
    function: str = ""
    sums: list[Sums] = field(default_factory=list)  # what operations gave to channels that stay, if some do not
    listens: bool = False
    _stack: list[str] = field(default_factory=list)

    def follow(self, network: nn.Module, image: Tensor) -> Any:
        """Return what the network, in which attributes are numbers that remember, gives for a batch of images."""
        _put(image, self._of_image(image))
        with torch.no_grad(), self._in_modules(network), Functions(self), Operations(self):
            return network(image)

    def _of_image(self, image: Tensor) -> Axes:
        if image.ndim == 1:
            return (None,)
        return (None, self.links.free(image.shape[1]), *[None] * (image.ndim - 2))

    def axes(self, value: object) -> Axes | None:
        """Return the axes of a tensor, None of what is none; along those of a tensor never seen before nothing goes."""
        if not isinstance(value, Tensor):
            return None
        known = self.tensors.get(id(value))
        return known if known is not None else vars(value).get(_AXES) or (None,) * value.ndim

    def own(self, call: Call) -> list[Labels | None]:
        """Return the axes of what an operation takes first."""
        return list(self.axes(call.args[0]) or ())

    def join(self, one: Labels | None, other: Labels | None) -> Labels | None:
        """Let channels go together, pair by pair, and return the labels of both."""
        if one is None or other is None:
            return other if one is None else one
        if one is not other and not np.array_equal(one, other):
            self.links.pairs.append(np.stack([one, other]))
        return one

    def is_bare(self, labels: Labels) -> bool:
        """Whether these are only places along a bare tensor, which need not be channels at all."""
        return bool(((labels >= self.bare[0]) & (labels < self.bare[1])).all())

    def alike(self, labels: Labels, period: int) -> Labels:
        """Let the channels at the same place of each period go together, and return their labels."""
        first = np.resize(labels[:period], len(labels))
        self.join(labels, first)
        return first

    def fix(self, labels: Labels | None, reason: str) -> None:
        """Say that channels never go, and why; where is added."""
        if labels is not None:
            self.links.fixed_channels.append((labels, f"{reason} ({self.where()})"))

    def where(self) -> str:
        """Return the module that runs and the line of code, as a person looks for them."""
        place = place_of_call()
        path = repr(self._stack[-1]) if self._stack and self._stack[-1] else "the network's forward"
        return path if place is None else f"{path}, {place}"

    def named(self, value: int) -> Number | None:
        """Return the number of that value in the call that is being made, if a module's attribute holds it."""
        return next((each for each in self.numbers if each == value and each.source is not None), None)

    def computed(self, value: int) -> bool:
        """Whether a number of that value in the call that is being made was computed, or read off a shape."""
        return any(each == value and each.source is None for each in self.numbers)

    def count_roots(self, labels: Labels) -> None:
        """Let attributes count these channels from which a number in the call was computed, as `self.width // 2` is."""
        for number in self.numbers:
            for root in number.roots if number.source is None else ():
                if root == len(labels):
                    self.count(root, labels)

    def count(self, number: Number, labels: Labels) -> None:
        """Say that an attribute counts these channels."""
        assert number.source is not None  # noqa: S101  # `named` gives no other; narrows the type
        self.counted.append(Counted(number.source, labels))

    def run(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run one operation and give its outputs their axes."""
        name = str(function).removeprefix("aten.")
        given = Call(name, args, kwargs, None)
        output = function(*args, **kwargs) if self.stays is None else self._over_kept(function, given)
        call = Call(name, args, kwargs, output)
        rule = self.rules(name, function)
        if rule is None:
            self._unknown(call)
        made = rule(self, call) if rule is not None else []
        outputs = output if isinstance(output, tuple | list) else [output]
        for value, axes in zip_longest(outputs, made):
            if isinstance(value, Tensor) and id(value) not in self.tensors:
                _put(value, axes if axes is not None and len(axes) == value.ndim else (None,) * value.ndim)
        if self.listens:
            first = outputs[0] if outputs else None
            own = sums_of(name, args, output, self.axes(first) or (), self.stays)
            self.sums += [] if own is None else [own]
        return output

    def _unknown(self, call: Call) -> None:
        for value in _flat((*call.args, *call.kwargs.values())):
            for labels in self.axes(value) or ():
                self.fix(labels, f"how channels go through {call.name.partition('.')[0]} is not known")

    def _over_kept(self, function: Any, call: Call) -> Any:
        before = [self.axes(each) for each in call.args]
        assert self.stays is not None  # noqa: S101  # it is why this is called; narrows the type
        return over_kept(function, call, *self.selecting(call, before), self.stays)

    @contextmanager
    def _in_modules(self, network: nn.Module) -> Iterator[None]:
        handles: list[Any] = []
        for path, module in network.named_modules():
            handles.append(module.register_forward_pre_hook(lambda *_, path=path: self._stack.append(path)))
            handles.append(module.register_forward_hook(self._leaving(module), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._stack.clear()

    def _leaving(self, module: nn.Module) -> Callable[..., None]:
        def leave(_module: nn.Module, _args: Any, output: Any) -> None:
            path = self._stack.pop() if self._stack else ""
            # A norm without weights counts its channels all the same.
            side = self.links.labels((path, "out"))
            if side is None or type(module).__module__.partition(".")[0] != "torch" or not isinstance(output, Tensor):
                return
            axes = self.axes(output) or ()
            own = axes[-1 if isinstance(module, nn.LayerNorm) else 1] if len(axes) > 1 else None
            if _NORMS.issuperset({type(module)}) and own is not None and len(own) == len(side):
                self.join(side, own)

        return leave


_AXES = "_followed_axes"
_NORMS = frozenset(
    {
        *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
        *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
        *(nn.GroupNorm, nn.LayerNorm),
    }
)


def _put(value: Tensor, axes: Axes) -> None:
    vars(value)[_AXES] = axes


def _flat(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple | list):
            yield from _flat(value)
        else:
            yield value


def numbered(network: nn.Module) -> nn.Module:
    """Return a clone of the network whose attributes hold numbers that remember where they come from."""
    made = clone(network)
    for module, name, value in list(number_attributes(made)):
        module.__dict__[name] = value
    return made
