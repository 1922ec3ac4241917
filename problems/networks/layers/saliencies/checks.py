"""What a saliency is checked for by itself, beside the promises of a problem that zeroes weights by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from emoprune.contracts import Saliency
from emoprune.errors import ContractError
from emoprune.problems.compute.left_alone import global_generators
from emoprune.problems.networks.layers.saliencies.contract import ScoredLayer, needs_of, scores_of

__all__ = ["check_saliency"]

SHAPES = {"convolution": (6, 4, 3, 3), "grouped": (6, 1, 3, 3), "linear": (7, 5)}


def check_saliency(make: Callable[[], Saliency[ScoredLayer, torch.Tensor]]) -> None:
    """Check that a saliency scores every weight, the same from the same generator, and changes nothing.

    Args:
        make: Returns a new one.

    Raises:
        ContractError: A promise is broken; it says what was expected and what was found.
    """
    found = []
    for _ in range(2):
        saliency, before = make(), global_generators()
        found.append([scores_of(saliency, layer) for layer in _layers(needs_of(saliency))])
        if global_generators() != before:
            raise ContractError(
                "saliency: expected global generators left alone, found one used; draw by layer.generator"
            )
    if not all(torch.equal(*pair) for pair in zip(*found, strict=True)):
        raise ContractError("saliency: expected equal scores from equal layers and generators, found different ones")


def _layers(needs: tuple[str, ...]) -> Iterator[ScoredLayer]:
    generator = torch.Generator().manual_seed(3)
    for path, shape in SHAPES.items():
        weight, gradient = torch.randn((2, *shape), generator=generator)
        norms = torch.rand(shape[:2], generator=generator).view(*shape[:2], *[1] * (len(shape) - 2))
        samples = torch.randn((9, *shape), generator=generator)
        measured = {"norms": norms.double(), "gradient": gradient, "sample_gradients": samples}
        own = torch.Generator().manual_seed(5)
        yield ScoredLayer(path, weight, own, {need: measured[need] for need in needs})  # type: ignore[misc]  # needs are names of what is measured
