"""Whether a method left what it was given as it was: others still need it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from emoprune.errors import ContractError

__all__ = ["global_generators", "left_alone"]

Given = nn.Module | Mapping[str, torch.Tensor]


@contextmanager
def left_alone(who: str, *given: Given) -> Iterator[None]:
    """Refuse a method that changes the parameters or buffers of networks, or tensors; modes and gradients do no harm.

    Args:
        who: What the error says it was, as in `recovery`.
        given: What it is given.

    Raises:
        ContractError: On leaving, where a tensor is not what it was; it names the first.
    """
    before = [_digests(own) for own in given]
    yield
    after = [_digests(own) for own in given]
    changed = [name for one, other in zip(before, after, strict=True) for name in one if one[name] != other.get(name)]
    if changed:
        others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise ContractError(
            f"{who}: expected what it is given left as it was, found {changed[0]!r}{others} changed; work on a copy"
        )


def _digests(given: Given) -> dict[str, bytes]:
    tensors = (
        {**dict(given.named_parameters()), **dict(given.named_buffers())} if isinstance(given, nn.Module) else given
    )
    return {name: _digest(tensor) for name, tensor in tensors.items()}


def _digest(tensor: torch.Tensor) -> bytes:
    values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(values.numpy().tobytes(), digest_size=16).digest()


def global_generators() -> tuple[bytes, str]:
    """Return the states of torch's and numpy's global generators, which methods leave alone too."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  # looks whether a method used what it must not
    return torch.get_rng_state().numpy().tobytes(), repr(legacy)
