"""A plain chain of convolutions for 28 x 28 grey images."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from emoprune.problems.networks.unpruned.built_in.layers import convolution

__all__ = ["fashion_vgg"]

# Width, stride, and whether a pooling layer follows; the first stride makes it fast enough to train on one core.
_PLAN = (
    (32, 2, False),
    (32, 1, True),
    (64, 1, False),
    (64, 1, False),
    (64, 1, True),
    (128, 1, False),
    (128, 1, False),
    (128, 1, False),
)


def fashion_vgg(classes: int = 10) -> nn.Sequential:
    """Return eight convolutions with batch norm, 32 to 128 wide, a global pool and a classifier, with fresh weights.

    After Simonyan and Zisserman, Very Deep Convolutional Networks, arXiv 1409.1556.
    """
    layers: list[tuple[str, nn.Module]] = []
    incoming = 1
    for number, (outgoing, stride, pooled) in enumerate(_PLAN, start=1):
        conv, norm, relu = convolution(incoming, outgoing, nn.ReLU(), stride=stride)
        layers += [(f"conv{number}", conv), (f"norm{number}", norm), (f"relu{number}", relu)]
        layers += [(f"pool{number}", nn.MaxPool2d(2))] if pooled else []
        incoming = outgoing
    layers += [("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten())]
    return nn.Sequential(OrderedDict([*layers, ("classifier", nn.Linear(incoming, classes))]))
