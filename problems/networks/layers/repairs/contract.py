"""What a repair of a thinned layer is given, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch

from emoprune.errors import ContractError

__all__ = ["LayerRepair", "Need", "ThinnedLayer", "repaired_weight"]

Need = Literal["moments", "gradients"]  # what a repair can ask to be measured on the calibration data


@dataclass(frozen=True, slots=True, eq=False)
class ThinnedLayer:
    """A convolution or a linear layer of which some weights stay; all in 64 bits, on the CPU, not to be changed.

    Attributes:
        path: Where it lies in the model.
        weight: Of the unpruned model, shape (convolution groups, filters, inputs); the inputs of a filter are its
            channels, and within each the places of the kernel.
        kept: Which weights stay, in the weight's shape.
        moments: Mean outer product of what the filters read, shape (convolution groups, inputs, inputs).
        across: The same of what they read now with what they read in the unpruned model; None where that is the same.
        gradients: Of the loss on some samples, shape (samples, *weight's shape), if the repair asks for them.
    """

    path: str
    weight: torch.Tensor
    kept: torch.Tensor
    moments: torch.Tensor
    across: torch.Tensor | None = None
    gradients: torch.Tensor | None = None

    def loss(self, weight: torch.Tensor) -> float:
        """Return the mean squared difference of a weight's outputs from the unpruned layer's, over its filters.

        Raises:
            ContractError: The inputs are not the unpruned model's, so that the unpruned outputs are not known.
        """
        if self.across is not None:
            raise ContractError("loss: expected a layer that reads what it reads in the unpruned model")
        off = weight - self.weight
        return float(((off @ self.moments) * off).sum() / off.shape[:2].numel())


class LayerRepair(Protocol):
    """Changes the weights that stay, so that the layer loses less; zeroed ones stay zero.

    A class attribute `needs = ("moments",)` says what is measured for it. A layer's outputs on the calibration data are
    never further from the unpruned ones than without the repair, if it is the outputs that it fits.
    """

    def __call__(self, layer: ThinnedLayer) -> torch.Tensor:
        """Return the weights, in the weight's shape, zero wherever `kept` is false."""
        ...


def repaired_weight(repair: LayerRepair, layer: ThinnedLayer) -> torch.Tensor:
    """Return what a repair makes of a layer.

    Raises:
        ContractError: It has another shape, or is not finite, or a zeroed weight came back.
    """
    found = repair(layer)
    who = f"compensation {type(repair).__name__!r}: layer {layer.path!r}"
    if found.shape != layer.weight.shape or not bool(torch.isfinite(found).all()):
        raise ContractError(f"{who}: expected finite weights of shape {tuple(layer.weight.shape)}, found others")
    if bool((found[~layer.kept] != 0).any()):
        raise ContractError(f"{who}: expected zeroed weights to stay zero, found others")
    return found
