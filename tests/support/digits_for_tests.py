"""The digits network, trained for a few epochs, with its bench: a real one, pruned and retrained in seconds."""

from __future__ import annotations

from functools import cache

from torch import nn

from emoprune.problems.compute.device import one_thread, seeded
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.norms import L1
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.unpruned.built_in.digits import digits_network
from emoprune.problems.networks.unpruned.training import train

EPOCHS = 10


@cache
def digits_data() -> ImageData:
    """Return the digits, read once."""
    return digits()


@cache
def trained_digits_network() -> nn.Module:
    """Return the digits network after a few epochs, in eval mode, without gradients."""
    with seeded(0), one_thread():
        network = digits_network()
        train(network, digits_data().train, EPOCHS, seed=0)
    return network.eval().requires_grad_(requires_grad=False)


@cache
def digits_bench() -> Bench:
    """Return the bench of that network."""
    data, network = digits_data(), trained_digits_network()
    return Bench.load(network, trace(network, data.input_shape), data, 256, "cpu")


@cache
def digits_scores() -> tuple[Scores, ...]:
    """Return the L1 scores of the network's units."""
    bench = digits_bench()
    return tuple(L1()(Evidence(bench.network, bench.structure, bench.calibration, 0)))


def digits_slicer() -> Slicer:
    """Return what cuts networks out of it by these scores."""
    return Slicer(digits_bench(), digits_scores())
