"""What a repair of single layers is checked for by itself, beside the promises of a problem that uses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from emoprune.errors import ContractError
from emoprune.problems.compute.left_alone import global_generators
from emoprune.problems.networks.layers.repairs.contract import LayerRepair, ThinnedLayer, repaired_weight

__all__ = ["check_repair"]

SAMPLES = 12  # fewer than a filter has weights, so that moments are singular
ROUNDING = 1e-9


def check_repair(make: Callable[[], LayerRepair]) -> None:
    """Check that a repair keeps zeros, gives the same each time, changes nothing, and leaves a whole layer whole.

    Args:
        make: Returns a new one.

    Raises:
        ContractError: A promise is broken; it says what was expected and what was found.
    """
    for layer in _layers():
        before, was = global_generators(), [layer.weight.clone(), layer.kept.clone(), layer.moments.clone()]
        found = [repaired_weight(make(), layer) for _ in range(2)]
        if global_generators() != before:
            raise ContractError("compensation: expected global generators left alone, found one used")
        if not torch.equal(*found):
            raise ContractError("compensation: expected equal weights from equal layers, found different ones")
        if not all(torch.equal(*pair) for pair in zip(was, (layer.weight, layer.kept, layer.moments), strict=True)):
            raise ContractError("compensation: expected the layer left as it was, found it changed")
        if "moments" in getattr(make(), "needs", ()):
            plain = layer.loss(layer.weight * layer.kept)
            if layer.loss(found[0]) > plain * (1 + ROUNDING) + ROUNDING:
                raise ContractError("compensation: expected outputs no further off than without it, found them further")


def _layers() -> Iterator[ThinnedLayer]:
    generator = torch.Generator().manual_seed(3)
    for groups, filters, inputs in ((1, 8, 16), (2, 4, 20)):
        weight = torch.randn((groups, filters, inputs), generator=generator, dtype=torch.float64)
        read = torch.randn((groups, SAMPLES, inputs), generator=generator, dtype=torch.float64)
        read[:, :, 3] = 0  # a channel that is dead
        weight[:, 1] = 0
        gradients = torch.randn((SAMPLES, groups, filters, inputs), generator=generator, dtype=torch.float64)
        order = weight.abs().reshape(groups, filters, -1, 4).argsort(dim=-1, descending=True).argsort(dim=-1)
        kept = (order < 2).reshape(weight.shape)
        yield ThinnedLayer("sample", weight, kept, read.transpose(1, 2) @ read / SAMPLES, None, gradients)
