"""What a saliency may look at, and what it promises: what is zeroed first when a share of a layer's weights goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from emoprune.contracts import Saliency
from emoprune.errors import ContractError
from emoprune.problems.compute.left_alone import left_alone

__all__ = ["Need", "ScoredLayer", "needs_of", "scores_of"]

Need = Literal["norms", "gradient", "sample_gradients"]  # what a saliency can ask to be measured


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

    @property
    def sample_gradients(self) -> torch.Tensor:
        """Gradients of the loss on some calibration samples each, shape (samples, *weight's shape)."""
        return self._measured("sample_gradients")

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
        ContractError: The saliency returns another shape or a score that is not finite, or changes what it is given.
    """
    who = f"saliency {getattr(saliency, '__name__', type(saliency).__name__)!r}: layer {layer.path!r}"
    with left_alone(who, {"weight": layer.weight, **{str(need): own for need, own in layer.measured.items()}}):
        scores = saliency(layer)
    if not isinstance(scores, torch.Tensor) or scores.shape != layer.weight.shape:
        found = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise ContractError(f"{who}: expected scores in the weight's shape {tuple(layer.weight.shape)}, found {found}")
    plain = scores.detach().float().cpu()
    broken = int((~torch.isfinite(plain)).sum())
    if broken:
        raise ContractError(
            f"{who}: expected a finite score in 32 bits for each weight, found {broken} of {plain.numel()} that are not"
        )
    return plain
