"""What a saliency may look at, and what it promises: what is zeroed first when a share of a layer's weights goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from emoprune.contracts import Saliency
from emoprune.errors import ContractError

__all__ = ["Need", "ScoredLayer", "needs_of", "scores_of"]

Need = Literal["norms", "gradient"]  # what a saliency can ask to be measured on the calibration data


@dataclass(frozen=True, slots=True, eq=False)
class ScoredLayer:
    """A convolution or a linear layer of the unpruned model.

    Attributes:
        path: Where it lies in the model.
        weight: Without gradients, on the CPU; nothing of it may be changed. A linear layer's has shape (out, in), a
            convolution's (out, in of its group, ...), a transposed one's (in, out of its group, ...).
        generator: Where all randomness comes from.
        measured: What the saliency asked for, by a class attribute `needs = ("norms",)`.
    """

    path: str
    weight: torch.Tensor
    generator: torch.Generator
    measured: Mapping[Need, torch.Tensor] = field(default_factory=dict)

    @property
    def norms(self) -> torch.Tensor:
        """For each weight the L2 norm of the channel that it reads, over all calibration data; it broadcasts to it."""
        return self._measured("norms")

    @property
    def gradient(self) -> torch.Tensor:
        """The gradient of the mean calibration loss, in nats, in the weight's shape."""
        return self._measured("gradient")

    def _measured(self, need: Need) -> torch.Tensor:
        if need not in self.measured:
            raise ContractError(f"saliency: looks at a layer's {need} without saying so; put {need!r} into its `needs`")
        return self.measured[need]


def needs_of(saliency: object) -> tuple[Need, ...]:
    """Return what a saliency needs to be measured; nothing if it does not say.

    Raises:
        ContractError: It needs something else than there is.
    """
    needs = tuple(getattr(saliency, "needs", ()))
    unknown = [need for need in needs if need not in get_args(Need)]
    if unknown:
        raise ContractError(f"saliency: expected `needs` among {', '.join(get_args(Need))}, found {unknown[0]!r}")
    return needs


def scores_of(saliency: Saliency[ScoredLayer, torch.Tensor], layer: ScoredLayer) -> torch.Tensor:
    """Return one score per weight of a layer, in its shape, 32 bits.

    Raises:
        ContractError: The saliency returns another shape.
    """
    scores = saliency(layer)
    if scores.shape != layer.weight.shape:
        raise ContractError(
            f"saliency: expected scores in the shape {tuple(layer.weight.shape)} of layer {layer.path!r}, found "
            f"{tuple(scores.shape)}"
        )
    return scores.detach().float().cpu()
