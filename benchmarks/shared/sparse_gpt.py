"""SparseGPT's published update: columns are zeroed from left to right, and the rest makes up for each."""

from __future__ import annotations

import torch

__all__ = ["sparse_gpt"]

DAMPING = 0.01  # of the mean diagonal, as published
BLOCK = 128


def sparse_gpt(
    weight: torch.Tensor, moments: torch.Tensor, share: float, pattern: tuple[int, int] | None
) -> torch.Tensor:
    """Return a layer's weights by the algorithm of SparseGPT, arXiv 2301.00774, written here from its text.

    Args:
        weight: Shape (filters, inputs).
        moments: Mean outer product of the inputs, shape (inputs, inputs).
        share: Of the weights that stay, in each block of columns.
        pattern: N and M of N:M instead of a share.
    """
    found, hessian = weight.clone(), moments.clone()
    dead = hessian.diagonal() == 0
    hessian.diagonal()[dead] = 1
    found[:, dead] = 0
    hessian.diagonal().add_(DAMPING * hessian.diagonal().mean())
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    columns = weight.shape[1]
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        own, errors = found[:, start:stop].clone(), torch.zeros((len(weight), stop - start), dtype=weight.dtype)
        root = inverse[start:stop, start:stop]
        scores = (own / root.diagonal()).square()
        going = torch.zeros_like(own, dtype=torch.bool)
        if pattern is None:
            number = round((1 - share) * own.numel())
            going.view(-1)[scores.flatten().argsort()[:number]] = True
        for column in range(stop - start):
            if pattern is not None and column % pattern[1] == 0:
                near = (own[:, column : column + pattern[1]] / root.diagonal()[column : column + pattern[1]]).square()
                going[:, column : column + pattern[1]] = near.argsort(dim=1).argsort(dim=1) < pattern[1] - pattern[0]
            value = own[:, column]
            kept = torch.where(going[:, column], torch.zeros_like(value), value)
            error = (value - kept) / root[column, column]
            own[:, column:] -= error.unsqueeze(1) * root[column, column:]
            own[:, column] = kept
            errors[:, column] = error
        found[:, start:stop] = own
        found[:, stop:] -= errors @ inverse[start:stop, stop:]
    return found
