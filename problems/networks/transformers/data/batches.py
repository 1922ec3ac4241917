"""Batches as tensors, made once, and the parts that they belong to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

__all__ = ["CALIBRATION", "Batch", "Parts", "digest_of"]

CALIBRATION = "calibration"


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A model's inputs by name, and labels of shape (n,); a language model's own inputs are its labels."""

    inputs: Mapping[str, torch.Tensor]
    labels: torch.Tensor

    @property
    def mask(self) -> torch.Tensor | None:
        """Which tokens are there, shape (rows, tokens), as the layers see them; None where all are."""
        mask = self.inputs.get("attention_mask")
        return None if mask is None else mask.flatten(0, -2)

    def mask_of(self, states: torch.Tensor) -> torch.Tensor | None:
        """Return which of the tokens that have these hidden states are there, shape (rows, tokens); None where all are.

        An encoder and a decoder have other tokens, in other numbers.
        """
        if "decoder_attention_mask" not in self.inputs:
            return self.mask
        masks = (self.inputs[name] for name in ("attention_mask", "decoder_attention_mask"))
        return next(own for own in masks if own.shape == states.shape[:2])

    def on(self, device: str) -> Batch:
        """Return the batch on a device."""
        return Batch({name: tensor.to(device) for name, tensor in self.inputs.items()}, self.labels.to(device))


Parts = Mapping[str, Sequence[Batch]]  # `calibration`, and the splits `search`, `select` and `test`


def digest_of(parts: Parts) -> str:
    """Return a digest of all parts."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        for batch in parts[name]:
            for key in sorted(batch.inputs):
                digest.update(f"{name} {key}".encode() + batch.inputs[key].contiguous().numpy().tobytes())
            digest.update(batch.labels.contiguous().numpy().tobytes())
    return digest.hexdigest()
