"""What a criterion of heads and neurons is checked for by itself, as one of coupling groups is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from emoprune.problems.networks.criteria.checks import Trial, check_trials
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.samples import sample_evidences
from emoprune.space import IntArray

__all__ = ["check_criterion"]

TOLERANCE = 1e-5  # sums over tokens are of 32 bits where they are large


def check_criterion(
    make: Callable[[], TransformerCriterion],
    *,
    blind: bool = False,
    ordered: bool = False,
    tolerance: float | None = None,
) -> None:
    """Check a criterion that ranks heads and neurons.

    Args:
        make: Returns a new one.
        blind: Whether scores may stay where they are when neurons change places, as those may that are drawn.
        ordered: Whether the order of the calibration batches may change scores by more than rounding.
        tolerance: By how much of the largest score rounding may change one; None for 1e-5.

    Raises:
        ContractError: A promise is broken; it says what was expected and what was found.
    """
    trials = [_trial(evidence) for evidence in sample_evidences()]
    check_trials(make, trials, blind=blind, ordered=ordered, tolerance=TOLERANCE if tolerance is None else tolerance)


def _trial(evidence: TransformerEvidence) -> Trial[TransformerEvidence]:
    moved = replace(evidence, task=copy.deepcopy(evidence.task))
    batches = evidence.calibration
    return Trial(
        evidence,
        replace(evidence),
        replace(evidence, calibration=batches[::-1]),
        moved,
        _reordered(moved),
        evidence.model,
        [tensor for batch in batches for tensor in batch.inputs.values()],
    )


def _reordered(evidence: TransformerEvidence) -> list[IntArray]:
    """Put the neurons of each layer's networks into another order; return the orders of all groups' units."""
    rng, orders = np.random.default_rng(3), list[IntArray]()
    blocks = evidence.model.get_submodule(evidence.structure.path)
    for block, anatomy in zip(blocks, evidence.structure.blocks, strict=True):
        start, whole = 0, list[IntArray]()
        for own in anatomy.feed_forwards:
            order = rng.permutation(own.neurons)
            rows = torch.from_numpy(order)
            with torch.no_grad():
                for path in own.inputs:
                    linear = block.get_submodule(path)
                    linear.weight.copy_(linear.weight[rows].clone())
                last = block.get_submodule(own.output)
                last.weight.copy_(last.weight[:, rows].clone())
            whole.append(order + start)
            start += own.neurons
        orders += [np.arange(anatomy.attention.heads), np.concatenate(whole)]
    return orders
