"""Whether a recovery of a transformer returns what its size is counted of, and leaves the unpruned model alone."""

from __future__ import annotations

from collections.abc import Sequence

from emoprune.errors import ContractError
from emoprune.problems.compute.left_alone import left_alone
from emoprune.problems.networks.recovery.checking import check_shapes, check_zeros
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.recovery.contract import RecoveredModel, RecoveryCase, TransformerRecovery

__all__ = ["recovered_by"]


def recovered_by(recovery: TransformerRecovery, case: RecoveryCase) -> RecoveredModel:
    """Return what a recovery makes of a case.

    Which heads, neurons and weights are gone it may have decided anew, how many are gone it may not.

    Raises:
        ContractError: It is no such model, it keeps more or less than the candidate, or the unpruned model was changed.
    """
    opened = case.opened
    with left_alone("recovery", opened.task.model):
        found = recovery(case)
    if not isinstance(found, RecoveredModel):
        raise ContractError(f"recovery: expected a RecoveredModel, found {type(found).__name__}")
    expected, kept = _counts(case.plans), _counts(found.plans)
    if kept != expected:
        raise ContractError(
            f"recovery: expected plans that keep as many heads and neurons of each layer as the candidate, {expected}, "
            f"found {kept}"
        )
    check_shapes(found.model, opened.narrower().narrowed(found.plans))
    # Weights that were zero in the unpruned model are not gone, and may be trained where others are zeroed.
    zeros = case.zeros(case.narrower.narrowed(case.plans))
    gone = {name: mask & (opened.task.model.get_parameter(name) != 0) for name, mask in zeros.items()}
    check_zeros(found.model, gone, anywhere=True)
    return found


def _counts(plans: Sequence[BlockPlan]) -> list[tuple[int, int]]:
    """Return how many heads and neurons each layer keeps, none of one that is dropped."""
    return [(len(plan.heads), len(plan.neurons)) if plan.kept else (0, 0) for plan in plans]
