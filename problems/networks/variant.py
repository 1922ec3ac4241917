"""One pruned network as the evaluation sees it: its tensors, and what each of its modules' tensors depend on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

__all__ = ["Variant"]


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """A network in eval mode that is smaller, sparser or coarser than the unpruned one.

    `versions` names by path every module and bare parameter whose tensors may differ from the unpruned network's, and
    what decides them: two variants with equal versions of a module hold equal tensors in it. `adapted` says whether
    its batch-norm statistics must be estimated anew; those of the unpruned network are kept as they are. `rows` names
    modules that take in what the unpruned one does and put out some of the same channels, unchanged: their indices.
    `frozen` names batch norms that keep the statistics they have, whatever is estimated of the others.
    """

    network: nn.Module
    versions: Mapping[str, Hashable]
    adapted: bool = True
    rows: Mapping[str, torch.Tensor] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()
