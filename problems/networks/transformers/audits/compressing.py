"""One model compressed in several ways, each written down in memory and measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.export.tensors import PackedLayer, own_state, serialised
from emoprune.problems.networks.transformers.repair.adjusting import packed_layers, rounding
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["Compressed", "Compressor"]

ROUNDED = (8, 6, 4)  # bits
RANKS = (75, 50, 25)  # percent of a layer's numbers that its two factors have
MIXED = (8, 6)  # bits of pruned models

Plans = Sequence[BlockPlan]


@dataclass(frozen=True, slots=True)
class Compressed:
    """A compressed model: its family, what was done, the bytes of its file, and its quality on the test part."""

    family: str
    name: str
    file_bytes: int
    quality: float


class Compressor:
    """Compresses one model in several ways, writes each down in memory, and measures it.

    Args:
        opened: The unpruned model and its data.
        adjust: What repairs narrowed layers, if anything does.
        measured: Returns the quality of a model with some plans on the test part.
    """

    def __init__(self, opened: Opened, adjust: Adjust | None, measured: Callable[[Any, Plans], float]) -> None:
        self._opened = opened
        self._adjust = adjust
        self._measured = measured
        self._whole = [opened.anatomy.whole(number) for number in range(len(opened.anatomy.blocks))]

    def unpruned(self) -> Compressed:
        """Return the model as it is."""
        return self._compressed("none", "unpruned", self._whole, 32)

    def pruned(self, named: Mapping[str, Sequence[BlockPlan]], family: str = "pruning") -> list[Compressed]:
        """Return models with these plans."""
        return [self._compressed(family, name, plans, 32) for name, plans in named.items()]

    def rounded(self) -> list[Compressed]:
        """Return the model with all its layers' weights rounded to the same bits."""
        return [self._compressed("rounding", f"{bits} bits", self._whole, bits) for bits in ROUNDED]

    def mixed(self, named: Mapping[str, Sequence[BlockPlan]]) -> list[Compressed]:
        """Return pruned models with their weights rounded."""
        return [
            self._compressed("pruning x rounding", f"{name}, {bits} bits", plans, bits)
            for name, plans in named.items()
            for bits in MIXED
        ]

    def _compressed(self, family: str, name: str, plans: Sequence[BlockPlan], bits: int) -> Compressed:
        """Return a narrowed and rounded model; its weights are packed as an export packs them."""
        coded = [replace(plan, bits=bits) for plan in plans]
        model = self._opened.narrower(rounding(self._opened, self._adjust)).narrowed(coded)
        layers = packed_layers(self._opened, coded, self._adjust)
        return Compressed(family, name, file_bytes(model, layers), self._measured(model, coded))

    def low_rank(self) -> list[Compressed]:
        """Return the model with every weight of its layers as a product of two, by truncated singular values."""
        found = []
        for percent in RANKS:
            tensors, factors = self._factored(percent)
            model = self._opened.narrower(_always(tensors)).narrowed(self._whole)
            state, _ = own_state(model)
            stored = {name: own for name, own in state.items() if name not in factors}
            parts = {
                f"{name}::{side}": own for name, both in factors.items() for side, own in zip("ab", both, strict=True)
            }
            size = len(
                save({name: own.clone(memory_format=torch.contiguous_format) for name, own in (stored | parts).items()})
            )
            found.append(
                Compressed("low rank", f"rank for {percent} % of each weight", size, self._measured(model, self._whole))
            )
        return found

    def _factored(
        self, percent: int
    ) -> tuple[list[dict[str, torch.Tensor]], dict[str, tuple[torch.Tensor, torch.Tensor]]]:
        self._opened.anatomy.check_one_stack("method families")
        blocks: Any = self._opened.task.model.get_submodule(self._opened.anatomy.path)
        tensors: list[dict[str, torch.Tensor]] = []
        factors: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for number, block in enumerate(blocks):
            own: dict[str, torch.Tensor] = {}
            for path, module in block.named_modules():
                if isinstance(module, nn.Linear):
                    weight = module.weight.detach()
                    rank = max(1, weight.numel() * percent // 100 // sum(weight.shape))
                    left, values, right = torch.linalg.svd(weight, full_matrices=False)
                    both = (left[:, :rank] * values[:rank], right[:rank])
                    own[f"{path}.weight"] = both[0] @ both[1]
                    factors[f"{self._opened.anatomy.path}.{number}.{path}.weight"] = both
            tensors.append(own)
        return tensors, factors


def _always(tensors: Sequence[Mapping[str, torch.Tensor]]) -> Adjust:
    """Return what gives each layer tensors that are known already."""

    def adjust(number: int, _plan: BlockPlan, _own: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
        return tensors[number]

    return adjust


def file_bytes(model: Any, layers: Mapping[str, PackedLayer]) -> int:
    """Return the bytes of the file that a model's weights take, packed where layers are."""
    return len(serialised(model, layers)[0])
