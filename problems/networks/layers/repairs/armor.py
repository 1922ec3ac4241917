"""N:M patterns between two thin dense factors that are learnt with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.layers.repairs.contract import Need, ThinnedLayer

__all__ = ["Armor", "Wrapped", "fitted"]

PATTERNS = 70  # tried in every group at most, as 4 of 8 has; beyond that only the values are fitted
GAIN = 1e-9  # of the first error: a round that wins less is the last one


@dataclass(frozen=True, slots=True, eq=False)
class Wrapped:
    """A matrix as outer x core x inner: the core has a pattern of zeros, the others are blocks on a diagonal.

    Attributes:
        outer: Shape (filters / block, block, block).
        core: Shape (filters, inputs).
        inner: Shape (inputs / block, block, block).
        losses: The squared error after each round, the first being that of the core alone.
    """

    outer: torch.Tensor
    core: torch.Tensor
    inner: torch.Tensor
    losses: Sequence[float] = ()

    @property
    def product(self) -> torch.Tensor:
        """The matrix itself, shape (filters, inputs)."""
        return _joined(self.outer.unsqueeze(1) @ _blocks(self.core, self.outer.shape[1]) @ self.inner.unsqueeze(0))


@about(
    "pruning",
    ["weights"],
    serves=["weight-ratios", "transformer-weight-ratios"],
    papers=[Paper("ARMOR: High-Performance Semi-Structured Pruning via Adaptive Matrix Factorization", "2510.05528")],
    cost="moments of the calibration data, and for each layer and level some rounds of small least squares",
)
class Armor:
    """An N:M core between two block-diagonal factors, all three by alternating least squares.

    Each round solves the outer blocks, the inner blocks and then every group of the core, of which it takes the best N
    places, each exactly with the others fixed, so that the error, weighted by the inputs' mean squares, never rises.
    The factors are counted: `block` times as many weights as the layer has filters and inputs, in bytes, parameters and
    multiplications. Layers whose filters and incoming channels have no common block that the M of the pattern divides,
    grouped convolutions, and levels at which it would take more bytes than the whole layer stay without factors.

    At equal bytes, zeros that follow no pattern lose less (`benchmarks/weight_solvers.py`): this is for hardware that
    runs N:M. Source: Liu et al., ARMOR: High-Performance Semi-Structured Pruning via Adaptive Matrix Factorization,
    arXiv 2510.05528, whose continuous step is gradient descent; the exact steps are an addition.

    Args:
        block: The most rows and columns of a block.
        rounds: How often all is solved at most.
    """

    needs: ClassVar[tuple[Need, ...]] = ("moments",)

    def __init__(self, block: int = 8, rounds: int = 5) -> None:
        if block < 2 or rounds < 1:
            raise ConfigError(f"armor: expected a block of 2 or more and 1 or more rounds, found {block} and {rounds}")
        self._block, self._rounds = block, rounds

    def __call__(self, layer: ThinnedLayer) -> torch.Tensor:
        """Return the weights of a layer that gets no factors: those that stay, as they are."""
        return layer.weight * layer.kept

    def block(self, filters: int, channels: int, m: int) -> int | None:
        """Return the size of the blocks for a layer and an M; None where there are none."""
        sizes = range(self._block - self._block % m, 0, -m)
        return next((size for size in sizes if filters % size == channels % size == 0), None)

    def wrapped(self, weight: torch.Tensor, kept: torch.Tensor, squares: torch.Tensor, block: int, m: int) -> Wrapped:
        """Return the factors of a matrix, all in 64 bits.

        Args:
            weight: Shape (filters, inputs), groups of M being neighbours.
            kept: Which places of the core hold weights at first; equally many in every group.
            squares: The mean square of each input, shape (inputs,).
            block: Of the factors.
            m: Of the pattern.
        """
        return fitted(weight, kept, squares, block=block, m=m, rounds=self._rounds)


def fitted(
    weight: torch.Tensor, kept: torch.Tensor, squares: torch.Tensor, *, block: int, m: int, rounds: int
) -> Wrapped:
    """Return outer, core and inner after alternating least squares; the arguments are those of `Armor.wrapped`."""
    found = _Factors(weight, kept, squares, block)
    for _ in range(rounds):
        found.solve_outer()
        found.solve_inner()
        found.solve_core(m, int(kept[0, :m].sum()))
        if found.losses[-4] - found.losses[-1] <= GAIN * found.losses[0]:
            break
    return Wrapped(found.outer, _joined(found.core), found.inner, tuple(found.losses))


class _Factors:
    """Three factors of a matrix in blocks, and the squared error after each step, which never rises."""

    def __init__(self, weight: torch.Tensor, kept: torch.Tensor, squares: torch.Tensor, block: int) -> None:
        self.wanted = _blocks(weight, block)
        self.scales = squares.clamp(min=0).sqrt().view(-1, 1, block)
        self.outer, self.inner = (torch.eye(block, dtype=weight.dtype).repeat(n // block, 1, 1) for n in weight.shape)
        self.core = _blocks(weight * kept, block)
        self.losses = [float(self._error().square().sum())]

    def _error(self) -> torch.Tensor:
        """Return what the product is off by, each input in its scale, in blocks."""
        return (self.wanted - self.outer.unsqueeze(1) @ self.core @ self.inner) * self.scales

    def _take(self, name: str, solved: torch.Tensor) -> None:
        """Put a factor in place unless rounding made it worse than the one that is there."""
        before = getattr(self, name)
        setattr(self, name, solved)
        loss = float(self._error().square().sum())
        if not loss <= self.losses[-1]:
            setattr(self, name, before)
            loss = self.losses[-1]
        self.losses.append(loss)

    def solve_outer(self) -> None:
        """Solve each block of the outer factor, over all inputs."""
        read = (self.core @ self.inner) * self.scales
        among = (read @ read.transpose(2, 3)).sum(dim=1)
        across = ((self.wanted * self.scales) @ read.transpose(2, 3)).sum(dim=1)
        self._take("outer", across @ torch.linalg.pinv(among, hermitian=True))

    def solve_inner(self) -> None:
        """Solve each block of the inner factor, over all filters; an input's scale is the same for all of them."""
        put = self.outer.unsqueeze(1) @ self.core
        among = (put.transpose(2, 3) @ put).sum(dim=0)
        across = (put.transpose(2, 3) @ self.wanted).sum(dim=0)
        self._take("inner", torch.linalg.pinv(among, hermitian=True) @ across)

    def solve_core(self, m: int, n: int) -> None:
        """Solve every group of M in turn, of all blocks at once, with the best N of its places."""
        block = self.outer.shape[1]
        inner, off, core = self.inner * self.scales, self._error(), self.core.clone()
        for group in range(block // m):
            rows = inner[:, group * m : (group + 1) * m]
            gram = rows @ rows.transpose(1, 2)
            chosen = list(combinations(range(m), n)) if comb(m, n) <= PATTERNS else None
            solvers = None if chosen is None else _solvers(gram, chosen)
            for row in range(block):
                column = self.outer[:, :, row]
                size = column.square().sum(dim=1).view(-1, 1, 1)
                before = core[:, :, row, group * m : (group + 1) * m]
                reached = torch.einsum("ijkl,ik->ijl", off, column)
                # What the group alone should explain, per filter block and input block: shape (i, j, m).
                wanted = torch.einsum("jml,ijl->ijm", rows, reached) + size * torch.einsum("jmn,ijn->ijm", gram, before)
                if solvers is None:
                    new = _one_by_one(gram, wanted, before, size)
                else:
                    new = _best(solvers, wanted, size, before)
                off = off - column.view(len(column), 1, block, 1) * ((new - before).unsqueeze(2) @ rows).view(
                    *new.shape[:2], 1, block
                )
                core[:, :, row, group * m : (group + 1) * m] = new
        self._take("core", core)


def _solvers(gram: torch.Tensor, patterns: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return for each pattern the inverse on its places, zero elsewhere, shape (inputs / block, patterns, m, m)."""
    found = gram.new_zeros((len(gram), len(patterns), *gram.shape[1:]))
    for number, places in enumerate(patterns):
        index = torch.tensor(places)
        own = gram[:, index[:, None], index]
        found[:, number, index[:, None], index] = torch.linalg.pinv(own, hermitian=True)
    return found


def _best(solvers: torch.Tensor, wanted: torch.Tensor, size: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """Return for each group the values with the pattern that explains most."""
    values = torch.einsum("jpmn,ijn->ijpm", solvers, wanted)
    gains = (values * wanted.unsqueeze(2)).sum(dim=-1)
    best = gains.argmax(dim=-1)
    chosen = values.gather(2, best[..., None, None].expand(*best.shape, 1, values.shape[-1])).squeeze(2)
    return torch.where(size > 0, chosen / size.clamp(min=torch.finfo(size.dtype).tiny), before)


def _one_by_one(gram: torch.Tensor, wanted: torch.Tensor, before: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """Return the values of each group with its own places, each value solved after the other."""
    new, own = before.clone(), before != 0
    for place in range(gram.shape[1]):
        bend = size[..., 0] * gram[:, place, place]
        rest = wanted[..., place] - size[..., 0] * torch.einsum("jn,ijn->ij", gram[:, place], new)
        step = torch.where(bend > 0, rest / bend.clamp(min=torch.finfo(bend.dtype).tiny), torch.zeros_like(rest))
        new[..., place] += torch.where(own[..., place], step, torch.zeros_like(step))
    return new


def _blocks(matrix: torch.Tensor, block: int) -> torch.Tensor:
    """Return a matrix cut into blocks, shape (rows / block, columns / block, block, block)."""
    rows, columns = (size // block for size in matrix.shape)
    return matrix.reshape(rows, block, columns, block).permute(0, 2, 1, 3).contiguous()


def _joined(blocks: torch.Tensor) -> torch.Tensor:
    """Return the matrix whose blocks these are."""
    rows, columns, block, _ = blocks.shape
    return blocks.permute(0, 2, 1, 3).reshape(rows * block, columns * block)
