"""Telling tokens apart: each of those that have a label is an example."""

from __future__ import annotations

import torch

from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.data.tagged import IGNORED
from emoprune.problems.networks.transformers.tasks.classes import ClassTask

__all__ = ["TokenTask"]


class TokenTask(ClassTask):
    """A classifier of tokens, as `ClassTask`; labels are of shape (n, tokens), `IGNORED` where a token has none."""

    def examples(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of the tokens that have a label, shape (m, classes), and the labels, shape (m,)."""
        labelled = batch.labels != IGNORED
        return outputs[labelled], batch.labels[labelled]

    def numbers(self, batch: Batch) -> int:
        """Return how many tokens of a batch have a label."""
        return int((batch.labels != IGNORED).sum())
