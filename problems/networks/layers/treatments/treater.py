"""Treated networks, made of layers that many candidates have in common."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.evaluation.reuse.cache import LRUCache
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.variant import Variant
from emoprune.space import IntArray

__all__ = ["Treater"]


class Treater:
    """Makes the network of any levels; a layer's weight at a level is made once, as long as it fits the cache.

    Args:
        network: The unpruned network on its device; all tensors that are not treated stay shared with it.
        levels: The layers and what each of their levels means.
        ranks: What the treatment made of the layers' scores, by path.
        cache_bytes: How much memory treated weights may take, beside those of the network that is looked at.
    """

    def __init__(
        self, network: nn.Module, levels: LayerLevels, ranks: Mapping[str, torch.Tensor], cache_bytes: int
    ) -> None:
        self._network = network
        self._levels = levels
        self._ranks = ranks
        self._cache = LRUCache[torch.Tensor](cache_bytes)

    @property
    def kept_bytes(self) -> int:
        """How much memory treated weights take now."""
        return self._cache.used

    def variant(self, levels: IntArray) -> Variant:
        """Return the network at levels of the treatment, shape (layers,); at the highest ones the unpruned one."""
        changed, versions = {}, {}
        for part, level in zip(self._levels.parts, levels.tolist(), strict=True):
            if level < self._levels.highest:
                changed[f"{part.path}.weight"] = self._treated(part, level)
                versions[part.path] = level
        return Variant(with_tensors(self._network, changed), versions, adapted=bool(changed))

    def _treated(self, part: Part, level: int) -> torch.Tensor:
        known = self._cache.get((part.path, level))
        if known is not None:
            return known
        weight = self._network.get_parameter(f"{part.path}.weight").detach()
        made = self._levels.treatment.treated(part, weight, self._ranks[part.path], level)
        self._cache.put((part.path, level), made, made.untyped_storage().nbytes())
        return made
