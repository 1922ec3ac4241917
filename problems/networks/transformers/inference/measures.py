"""What is measured of a transformer that leaves something out at inference, as objectives see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import FloatArray
from emoprune.errors import ContractError
from emoprune.problems.networks.evaluation.objectives.contract import Seen

__all__ = ["HIERARCHY", "KV_CACHE", "READING", "TOKENS", "TOP_P", "SeenInference"]

KV_CACHE = "kv-cache"
TOKENS = "tokens"
TOP_P = "attention-top-p"
HIERARCHY = "kv-hierarchy"
READING = (KV_CACHE, TOP_P, HIERARCHY)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeenInference(Seen):
    """A model under a policy on one part of the data; its `counts` are means of what was used, sample by sample.

    Args:
        losses: Nats of each token or label that was predicted, shape (predictions,).
        right: Whether each question was answered rightly, shape (questions,).
    """

    losses: FloatArray
    right: NDArray[np.bool_]

    def of_questions(self) -> FloatArray:
        """Return 1 for each question that was answered wrongly and 0 for each other one.

        Raises:
            ContractError: There is none.
        """
        if not len(self.right):
            raise ContractError("objective: expected questions among the texts, found none; ask for some in the config")
        return 1.0 - self.right.astype(np.float64)
