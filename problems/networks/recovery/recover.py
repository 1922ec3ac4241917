"""Winning back what pruning cost: what every recovery of a network shares, and what is asked of any."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from emoprune.contracts import Recovery, about_of
from emoprune.problems.compute.left_alone import left_alone
from emoprune.problems.networks.recovery.checking import check_shapes, check_zeros
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.rounds.lessons import Masks
from emoprune.problems.networks.recovery.spent import Spent
from emoprune.problems.networks.recovery.targets import Target
from emoprune.records import Split

__all__ = ["best_of", "described_spending", "note_of", "recovered"]


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


def recovered(recovery: Recovery[NetworkCase, nn.Module], case: NetworkCase, zeros: Masks | None = None) -> nn.Module:
    """Return what a recovery makes of a case, in eval mode and without gradients.

    Args:
        recovery: It may decide anew which weights are zero.
        case: What is won back.
        zeros: Where the candidate's zeros are that its size is counted of: as many have to be in each parameter.

    Raises:
        ContractError: It is no network of the pruned one's shapes, weights that have to stay zero are not, or the
            pruned or the unpruned network was changed.
    """
    with left_alone("recovery", case.network, case.bench.network):
        network = recovery(case)
    check_shapes(network, case.network)
    check_zeros(network, zeros or {}, anywhere=True)
    return network.eval().requires_grad_(requires_grad=False)


def note_of(recovery: object, name: str, epochs: float) -> str:
    """Return what a person reads of a recovery where the network was written."""
    own = about_of(recovery)
    if own is not None and not own.training:
        return f"After pruning it was recovered without training ({name})."
    return f"After pruning it was trained for {epochs:g} epochs ({name})."


def described_spending(ledger: Sequence[Spent]) -> dict[str, int | float]:
    """Return what trainings took that count it, as a person reads it; nothing where none did."""
    return sum(ledger[1:], ledger[0]).described() if ledger else {}
