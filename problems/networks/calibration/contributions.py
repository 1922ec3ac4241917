"""How much each unit adds to what the layers that read it put out, summed up while the network runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.coupling.structure import Part
from emoprune.space import IntArray

__all__ = ["Blocks", "Contributions", "ContributionsByMoments", "ContributionsByOutputs", "blocks_of", "contributions"]

AT_ONCE = 1 << 21  # values computed at once: 16 MiB in 64 bits, which stays near the processor
WIDEST = 160  # weights of one filter on one block up to which products of all pairs of them are summed


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The channels of one coupling group in one reader, cut by unit and convolution group.

    `units` says whose each block is, `channels` which of the reader's inputs it holds, shape (blocks, channels of a
    block), and `weights` what the reader multiplies them by, in the layout of its weight, block after block on the
    first axis.
    """

    units: IntArray
    channels: torch.Tensor
    weights: torch.Tensor

    def __len__(self) -> int:
        return len(self.channels)

    def by_unit(self, energies: torch.Tensor, units: int) -> Scores:
        """Return the sums of a number per block, shape (units,)."""
        totals: Scores = np.bincount(self.units, energies.double().cpu().numpy(), minlength=units).astype(np.float64)
        return totals


def blocks_of(part: Part, weight: torch.Tensor, group: int) -> Blocks:
    """Return the blocks of a coupling group in a reader with this weight.

    Raises:
        ContractError: The part does not take the group in, or its units have unequally many channels there.
    """
    if part.incoming is None or not (part.incoming.groups == group).any():
        raise ContractError(f"layer {part.path!r}: expected it to take in channels of group {group}, found none")
    per_group = len(part.incoming) // part.conv_groups
    own = np.flatnonzero(part.incoming.groups == group)
    keys = np.stack([part.incoming.units[own], own // per_group], axis=1)
    blocks, block, sizes = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    if len(set(sizes.tolist())) != 1:
        raise ContractError(
            f"layer {part.path!r}: expected every unit to have as many channels in each convolution group, "
            f"found {sorted(set(sizes.tolist()))}"
        )
    rows = own[np.argsort(block.ravel(), kind="stable")].reshape(len(blocks), -1)
    channels = torch.from_numpy(rows).to(weight.device)
    return Blocks(blocks[:, 0], channels, torch.cat([_cut(part, weight, row, per_group) for row in channels]))


def _cut(part: Part, weight: torch.Tensor, channels: torch.Tensor, per_group: int) -> torch.Tensor:
    """Return the weights that read one block's channels, in the layout of the part's weight."""
    if part.kind.startswith("ConvTranspose"):
        return weight[channels]  # never grouped: such a part is not sliced
    filters = len(weight) // part.conv_groups
    first = int(channels[0]) // per_group * filters
    return weight[first : first + filters].index_select(1, channels % per_group)


class Contributions(Protocol):
    """Sums the squares of what each block adds to the reader's outputs, over all images and places."""

    def add(self, module: nn.Module, values: torch.Tensor) -> None:
        """Take in the reader's input, shape (rows, channels, ...)."""
        ...

    def energies(self) -> torch.Tensor:
        """Return the sums, shape (blocks,), in 64 bits."""
        ...


def contributions(part: Part, blocks: Blocks) -> Contributions:
    """Return the cheaper way to sum up: mostly from products of inputs, without computing any output."""
    width = blocks.channels.shape[1] * blocks.weights.shape[2:].numel()
    if part.kind.startswith("ConvTranspose") or width > WIDEST:
        return ContributionsByOutputs(blocks)
    return ContributionsByMoments(blocks)


class ContributionsByMoments:
    """From the products of the inputs that a filter reads together: as many as a filter has pairs of weights."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        width = blocks.channels.shape[1] * blocks.weights.shape[2:].numel()
        self._moments = blocks.weights.new_zeros((len(blocks), width, width), dtype=torch.float64)

    def add(self, module: nn.Module, values: torch.Tensor) -> None:
        """Take in the reader's input, shape (rows, channels, ...)."""
        chosen = values.index_select(1, self._blocks.channels.flatten())
        taps = self._blocks.weights.shape[2:]
        for rows in torch.split(chosen, max(1, AT_ONCE // max(1, chosen[0].numel() * taps.numel()))):
            read = (
                rows if isinstance(module, nn.Linear) else _grouped(module, rows, _each_tap(rows, taps), rows.shape[1])
            )
            by_block = read.reshape(len(rows), len(self._blocks), self._moments.shape[1], -1).double()
            flat = by_block.permute(1, 2, 0, 3).flatten(2)
            self._moments += flat @ flat.transpose(1, 2)

    def energies(self) -> torch.Tensor:
        """Return the sums, shape (blocks,): each filter's weights applied to both sides of the products."""
        filters = self._blocks.weights.double().reshape(len(self._blocks), -1, self._moments.shape[1])
        return ((filters @ self._moments) * filters).sum(dim=(1, 2)).clamp(min=0)  # rounding may go below 0


def _each_tap(values: torch.Tensor, taps: torch.Size) -> torch.Tensor:
    """Return, for every channel, one filter per tap of the kernel that hands on what lies there."""
    single = torch.eye(taps.numel(), dtype=values.dtype, device=values.device).reshape(-1, 1, *taps)
    return single.repeat(values.shape[1], 1, *([1] * len(taps)))


class ContributionsByOutputs:
    """From the outputs themselves, one set of them for every block."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._sums = blocks.weights.new_zeros(len(blocks), dtype=torch.float64)

    def add(self, module: nn.Module, values: torch.Tensor) -> None:
        """Take in the reader's input, shape (rows, channels, ...)."""
        blocks, weights = len(self._blocks), self._blocks.weights
        chosen = values.index_select(1, self._blocks.channels.flatten())
        places = chosen[0, 0].numel() if chosen.ndim > 2 else 1
        for rows in torch.split(chosen, max(1, AT_ONCE // max(1, places * weights.shape[:2].numel()))):
            if isinstance(module, nn.Linear):
                by_block = weights.reshape(blocks, -1, weights.shape[1])
                added = torch.einsum("rbs,bos->rbo", rows.reshape(len(rows), blocks, -1), by_block)
            else:
                added = _grouped(module, rows, weights, blocks)
            self._sums += added.reshape(len(rows), blocks, -1).square().sum(dim=(0, 2), dtype=torch.float64)

    def energies(self) -> torch.Tensor:
        """Return the sums, shape (blocks,)."""
        return self._sums


def _grouped(module: Any, values: torch.Tensor, weights: torch.Tensor, groups: int) -> torch.Tensor:
    """Run a convolution as it is, but with other weights, in groups, and without its bias."""
    spatial = values.ndim - 2
    if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        run: Any = getattr(nn.functional, f"conv_transpose{spatial}d")
        return run(  # type: ignore[no-any-return]  # a function of torch by its name
            values, weights, None, module.stride, module.padding, module.output_padding, groups, module.dilation
        )
    run = getattr(nn.functional, f"conv{spatial}d")
    padding = module.padding
    if module.padding_mode != "zeros":
        # torch keeps both sides of every axis in this one attribute, also for `same` and for even kernels.
        sides = module._reversed_padding_repeated_twice  # noqa: SLF001  # see above
        values, padding = nn.functional.pad(values, sides, mode=module.padding_mode), 0
    return run(values, weights, None, module.stride, padding, module.dilation, groups)  # type: ignore[no-any-return]  # likewise
