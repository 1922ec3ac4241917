"""The built-in networks by name, each with the schedule it is trained by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from emoprune.problems.networks.unpruned.built_in.digits import digits_network
from emoprune.problems.networks.unpruned.built_in.fashion_mobilenet import fashion_mobilenet
from emoprune.problems.networks.unpruned.built_in.fashion_resnet import fashion_resnet
from emoprune.problems.networks.unpruned.built_in.fashion_vgg import fashion_vgg
from emoprune.problems.networks.unpruned.built_in.lenet5_mini import lenet5_mini
from emoprune.problems.networks.unpruned.training import Schedule

__all__ = ["NETWORKS", "BuiltIn"]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A network that comes with emoprune: the function that makes it, and how it is trained."""

    make: Callable[[], nn.Module]
    schedule: Schedule


def _on_fashion(epochs: int) -> Schedule:
    return Schedule(epochs, batch=128, flips=True, shift=1, channels_last=True)


NETWORKS: Mapping[str, BuiltIn] = MappingProxyType(
    {
        "digits": BuiltIn(digits_network, Schedule(30)),
        "fashion-vgg": BuiltIn(fashion_vgg, _on_fashion(8)),
        "fashion-resnet": BuiltIn(fashion_resnet, _on_fashion(8)),
        "fashion-mobilenet": BuiltIn(fashion_mobilenet, _on_fashion(6)),
        "lenet5-mini": BuiltIn(lenet5_mini, Schedule(30, peak_rate=0.05, weight_decay=1e-4)),
    }
)
