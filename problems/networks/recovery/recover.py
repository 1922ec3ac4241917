"""Winning back what pruning cost: what every recovery of a network shares, and what is asked of any."""

from __future__ import annotations

from torch import nn

from emoprune.contracts import Recovery, about_of
from emoprune.errors import ContractError
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.targets import Target
from emoprune.records import Split

__all__ = ["best_of", "note_of", "recovered"]


def best_of(case: NetworkCase, images: TrainingImages, target: Target | None, label: str) -> nn.Module:
    """Return the network trained by the case's plan, with the weights that were best on `select`.

    Those before the first step may be the best ones.

    Args:
        case: What is won back.
        images: What it is trained on.
        target: What it is trained towards; the labels if it is None.
        label: What log lines begin with.
    """
    found = trained(
        case.network,
        images,
        case.plan,
        case.seed,
        target=target,
        held_out=case.bench.images[Split.SELECT],
        from_start=True,
        frozen_zeros=case.frozen_zeros,
        label=label,
    )
    return found.network


def recovered(recovery: Recovery[NetworkCase, nn.Module], case: NetworkCase) -> nn.Module:
    """Return what a recovery makes of a case, in eval mode and without gradients.

    Raises:
        ContractError: It is no network, or weights that have to stay zero are not.
    """
    network = recovery(case)
    if not isinstance(network, nn.Module):
        raise ContractError(f"recovery: expected a torch module in return, found {type(network).__name__}")
    parameters = dict(network.named_parameters())
    for name, mask in case.frozen_zeros.items():
        if name not in parameters or parameters[name].detach()[mask].count_nonzero():
            raise ContractError(f"recovery: expected {name!r} with its zeros kept; set them to 0 after each step")
    return network.eval().requires_grad_(requires_grad=False)


def note_of(recovery: object, name: str, epochs: float) -> str:
    """Return what a person reads of a recovery where the network was written."""
    own = about_of(recovery)
    if own is not None and not own.training:
        return f"After pruning it was recovered without training ({name})."
    return f"After pruning it was trained for {epochs:g} epochs ({name})."
