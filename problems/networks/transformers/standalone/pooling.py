"""A classifier on the mean of an encoder's hidden states. Needs torch alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def pooled(hidden: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the mean hidden state of each example over the tokens that are there, shape (n, width)."""
    if mask is None:
        return hidden.mean(dim=1)
    weights = mask.to(hidden.dtype).unsqueeze(-1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


class PooledClassifier(nn.Module):
    """An encoder, the mean of its hidden states over the tokens that are there, and a linear layer."""

    def __init__(self, encoder: Any, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        width = int(encoder.config.hidden_size)
        self.classifier = nn.Linear(width, classes)
        for parameter in self.classifier.parameters():
            parameter.requires_grad = False
            parameter.zero_()

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Return one number per class for each example, shape (n, classes)."""
        logits: torch.Tensor = self.classifier(self.pooled(**inputs))
        return logits

    def pooled(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Return the mean hidden state of each example, shape (n, width)."""
        return pooled(self.encoder(**inputs)[0], inputs.get("attention_mask"))
