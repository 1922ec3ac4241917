"""What a compensation for transformers may look at, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.criteria.contract import TransformerEvidence
from emoprune.problems.networks.transformers.genes import Orders

__all__ = ["RepairInputs", "TransformerCompensation"]


@dataclass(frozen=True, slots=True, eq=False)
class RepairInputs:
    """The unpruned model, calibration batches, and how units go; nothing of it may be left changed.

    Attributes:
        evidence: What criteria look at: the model in eval mode, where its units lie, the batches, and a seed.
        orders: The units of each group, the most important first, shape (units,) each, if all plans keep the first
            ones, which may be faster; None if plans keep any.
    """

    evidence: TransformerEvidence
    orders: Orders | None


class TransformerCompensation(Protocol):
    """Changes the weights of narrowed layers so that the model loses less, without training."""

    def __call__(self, inputs: RepairInputs) -> Adjust:
        """Look at the unpruned model, once in each process, and return what changes a narrowed layer.

        That is called as `adjust(number, plan, tensors)` with the layer's place in the unpruned model, what of it
        stays, and its sliced tensors by path in the layer, weights of shape (out, in). It returns those that are
        different, in the shapes that they have by then; weights that are not sliced can be among them. It may depend on
        nothing but these three, because candidates with the same plan for a layer share it. All randomness comes from
        the evidence's seed.
        """
        ...
