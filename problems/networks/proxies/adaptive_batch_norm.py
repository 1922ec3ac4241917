"""Batch-norm statistics of a pruned network, estimated anew on calibration images instead of fine-tuning it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["reestimate_statistics"]


def reestimate_statistics(network: nn.Module, batches: Sequence[torch.Tensor]) -> None:
    """Replace the running means and variances of every batch norm by their averages over `batches`.

    Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, arXiv 2007.02491. There
    the old statistics fade out with momentum 0.1; here they are reset and every batch counts the same (momentum None),
    so that nothing of the unpruned network's statistics remains and the result does not depend on how many batches it
    takes to forget them. All other modules stay in eval mode, dropout included; weights do not change.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    if not norms:
        return
    for norm in norms:
        norm.momentum = None
        norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    network.eval()
