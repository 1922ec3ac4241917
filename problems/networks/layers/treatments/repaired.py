"""A treatment whose zeros are made up for: the same levels, other weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.calibration.filters import as_filters, as_weight
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.repairs.armor import Armor, Wrapped
from emoprune.problems.networks.layers.repairs.contract import LayerRepair, ThinnedLayer, repaired_weight
from emoprune.problems.networks.layers.treatments.contract import Left, Treatment
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.standalone.unpack import unwrapped

__all__ = ["Repaired", "can_be_repaired", "repair_needs"]

Statistics = Mapping[str, NDArray[Any]]  # by `<a layer's path>.<what it is>`

NEEDS = ("moments", "gradients")


def repair_needs(repair: object) -> tuple[str, ...]:
    """Return what a repair needs to be measured; nothing if it does not say.

    Raises:
        ContractError: It needs something else than there is.
    """
    needs = tuple(getattr(repair, "needs", ()))
    unknown = [need for need in needs if need not in NEEDS]
    if unknown:
        raise ContractError(f"compensation: expected `needs` among {', '.join(NEEDS)}, found {unknown[0]!r}")
    return needs


def can_be_repaired(part: Part) -> bool:
    """Whether what a layer's filters read is known: not of a transposed convolution, where places overlap."""
    return not part.kind.startswith("ConvTranspose")


class Repaired:
    """Zeroes as another treatment does, and then lets a repair change what stays.

    Attributes:
        base: What zeroes weights.
        repair: What changes those that stay.
        statistics: What was measured for the repair, by `<a layer's path>.<what it is>`; set once it is there.

    Raises:
        ConfigError: The repair needs a pattern of N:M, and there is none.
    """

    def __init__(self, base: Treatment, repair: LayerRepair | Armor) -> None:
        if isinstance(repair, Armor) and not isinstance(base, Patterns):
            raise ConfigError("repair: armor goes with pattern: n:m alone; without a pattern take least-squares")
        self.base, self.repair = base, repair
        self.statistics: Statistics = {}
        self._ranks: dict[str, torch.Tensor] = {}

    @property
    def dtype(self) -> torch.dtype:
        """The numbers that weights, and factors around them, are stored in."""
        return self.base.dtype

    def storing(self, dtype: torch.dtype) -> Self:
        """Return the same treatment of weights that are numbers of `dtype`, with nothing measured yet."""
        return type(self)(self.base.storing(dtype), self.repair)

    @property
    def wraps(self) -> bool:
        """Whether weights are stored as several factors, so that they cannot be trained as they are."""
        return isinstance(self.repair, Armor)

    @property
    def labels(self) -> tuple[str, ...]:
        """As without a repair."""
        return self.base.labels

    def ranked(self, part: Part, scores: torch.Tensor) -> torch.Tensor:
        """Return what the treatment makes of scores."""
        return self.base.ranked(part, scores)

    def left(self, part: Part, shape: tuple[int, ...], level: int) -> Left:
        """Return what is left: as without a repair, and the factors around it; or all where these take more."""
        plain, block = self.base.left(part, shape, level), self.block(part, shape)
        total = torch.Size(shape).numel()
        if block is None or plain.nonzeros == total:
            return plain
        around = block * (shape[0] + total // shape[0])
        stored, whole = plain.stored_bytes + around * self.dtype.itemsize, total * self.dtype.itemsize
        return Left(plain.nonzeros + around, stored) if stored < whole else Left(total, whole)

    def block(self, part: Part, shape: tuple[int, ...]) -> int | None:
        """Return the size of the blocks of the factors around a layer's weight; None where there are none."""
        if not isinstance(self.repair, Armor) or not isinstance(self.base, Patterns):
            return None
        if part.conv_groups > 1 or not can_be_repaired(part):
            return None
        return self.repair.block(shape[0], shape[1], self.base.m)

    def treated(self, part: Part, weight: torch.Tensor, ranks: torch.Tensor, level: int) -> torch.Tensor:
        """Return the weight with zeros and what the repair made of the others."""
        shape = tuple(weight.shape)
        if self.left(part, shape, level).nonzeros == weight.numel():
            return weight
        if self.block(part, shape) is not None:
            self._ranks[part.path] = ranks
            made = torch.from_numpy(unwrapped(*self.factors(part, weight, level), list(shape)))
            return made.to(weight).add_(0.0)
        if not can_be_repaired(part):
            return self.base.treated(part, weight, ranks, level)
        filters = repaired_weight(self.repair, self.thinned(part, weight, ranks, level))
        taps = weight.shape[2:].numel() if weight.ndim > 2 else 1
        made = as_weight(part, filters.reshape(*filters.shape[:2], -1, taps), weight)
        return made.to(self.dtype).to(weight.dtype).add_(0.0)

    def factors(
        self, part: Part, weight: torch.Tensor, level: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return outer, core and inner of a layer that was treated, in 32 bits; the core's inputs tap by tap.

        Raises:
            ContractError: It was not treated yet, or has no factors.
        """
        block = self.block(part, tuple(weight.shape))
        if block is None or part.path not in self._ranks:
            raise ContractError(f"layer {part.path!r}: expected it treated with factors around it, found no factors")
        assert isinstance(self.repair, Armor)  # noqa: S101  # as `block` found; narrows the type
        assert isinstance(self.base, Patterns)  # noqa: S101  # as above
        layer = self.thinned(part, weight, self._ranks[part.path], level)
        taps = weight.shape[2:].numel() if weight.ndim > 2 else 1
        squares = layer.moments.diagonal(dim1=1, dim2=2)
        matrix, kept, scale = (_tap_by_tap(own, taps)[0] for own in (layer.weight, layer.kept, squares.unsqueeze(1)))
        found: Wrapped = self.repair.wrapped(matrix, kept, scale[0], block, self.base.m)
        stored = (own.to(self.dtype).float() for own in (found.outer, found.core, found.inner))
        # No zero has a sign, so that what is unfolded is the same to the bit.
        outer, core, inner = (np.asarray(own.add(0.0).numpy(), dtype=np.float32) for own in stored)
        return outer, core, inner

    def thinned(self, part: Part, weight: torch.Tensor, ranks: torch.Tensor, level: int) -> ThinnedLayer:
        """Return what a repair is given of a layer at a level; what was not measured is taken as even.

        Without moments inputs count alike and do not go together.
        """
        kept = self.base.treated(part, torch.ones_like(weight), ranks, level)
        filters = as_filters(part, weight).flatten(2)
        width = filters.shape[2]
        moments = self.statistics.get(f"{part.path}.moments")
        gradients = self.statistics.get(f"{part.path}.gradients")
        even = torch.eye(width, dtype=torch.float64).expand(len(filters), -1, -1)
        return ThinnedLayer(
            part.path,
            filters,
            as_filters(part, kept).flatten(2) != 0,
            # The last input of gathered moments is a constant.
            even if moments is None else torch.from_numpy(np.asarray(moments[:, :width, :width], dtype=np.float64)),
            None,
            None if gradients is None else torch.stack([_filters(part, own) for own in gradients]),
        )


def _filters(part: Part, gradient: NDArray[Any]) -> torch.Tensor:
    return as_filters(part, torch.from_numpy(np.asarray(gradient))).flatten(2)


def _tap_by_tap(values: torch.Tensor, taps: int) -> torch.Tensor:
    """Return inputs channel by channel and in each tap by tap as inputs tap by tap and in each channel by channel."""
    return values.reshape(*values.shape[:-1], -1, taps).transpose(-1, -2).flatten(-2)
