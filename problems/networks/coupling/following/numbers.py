"""Whole numbers that remember where they come from: a module's attribute, or a tensor's shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn

from emoprune.problems.networks.coupling.kinds import KNOWN, STANDARD

__all__ = ["Number", "number_attributes", "numbers_in"]


class Number(int):
    """A whole number of a network's forward.

    `source` is the path of a module, the name of its attribute, and the place in it if it holds several numbers; a
    number that was computed, or read off a shape, has none. `roots` are the attributes that it was computed from.
    """

    source: tuple[str, str, int | None] | None
    roots: tuple[Number, ...]

    def __new__(
        cls, value: int, source: tuple[str, str, int | None] | None = None, roots: tuple[Number, ...] = ()
    ) -> Number:
        """Make a number of that value."""
        made = super().__new__(cls, value)
        made.source = source
        made.roots = (made,) if source is not None else roots
        return made

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        """Copy and pickle as a plain number."""
        return int, (int(self),)


def _computed(name: str) -> Any:
    operation = getattr(int, name)

    def compute(self: Number, *others: int) -> Any:
        found = operation(self, *others)
        if type(found) is not int:
            return found
        roots = [root for each in (self, *others) if isinstance(each, Number) for root in each.roots]
        return Number(found, None, tuple(roots))

    return compute


for _name in ("add", "sub", "mul", "floordiv", "mod", "radd", "rsub", "rmul", "rfloordiv", "neg"):
    setattr(Number, f"__{_name}__", _computed(f"__{_name}__"))


def numbers_in(values: Iterable[Any]) -> Iterator[Number]:
    """Yield the numbers among the arguments of a call, also those in tuples, lists and slices."""
    for value in values:
        if isinstance(value, Number):
            yield value
        elif isinstance(value, list | tuple):
            yield from numbers_in(value)
        elif isinstance(value, slice):
            yield from numbers_in((value.start, value.stop))


def number_attributes(network: nn.Module) -> Iterator[tuple[nn.Module, str, Any]]:
    """Yield modules of a network with the attributes that hold whole numbers above one, as ones that remember.

    Those of torch's own layers whose channels are counted are left out: slicing keeps them right.
    """
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_") or (isinstance(module, KNOWN) and name in STANDARD):
                continue
            if type(value) is int and value > 1:
                yield module, name, Number(value, (path, name, None))
            elif type(value) in {list, tuple} and value and all(type(each) is int for each in value):
                yield module, name, type(value)(Number(each, (path, name, place)) for place, each in enumerate(value))
