"""A memory of limited size that forgets what was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

import torch

from emoprune.errors import ContractError

__all__ = ["RecentlyUsed", "bytes_of"]

Kept = TypeVar("Kept")

OVERHEAD = 512  # bytes per entry besides its tensors, so that empty ones count too


class RecentlyUsed(Generic[Kept]):
    """Values by key, at most `limit` bytes of them by the sizes they were put in with; 0 keeps nothing."""

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ContractError(f"a memory's limit: expected 0 bytes or more, found {limit}")
        self.limit = limit
        self.used = 0
        self._kept: OrderedDict[Hashable, tuple[Kept, int]] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Kept | None:
        """Return the value, which counts as a use, or None."""
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def touch(self, key: Hashable) -> None:
        """Count a use without taking the value, if it is there."""
        if key in self._kept:
            self._kept.move_to_end(key)

    def put(self, key: Hashable, value: Kept, size: int) -> None:
        """Keep a value of `size` bytes, and forget others until it fits; one larger than the limit is not kept."""
        if key in self._kept:
            self.used -= self._kept.pop(key)[1]
        size += OVERHEAD
        if size > self.limit:
            return
        while self.used + size > self.limit:
            _, (_, freed) = self._kept.popitem(last=False)
            self.used -= freed
        self._kept[key] = (value, size)
        self.used += size


def bytes_of(value: object) -> int:
    """Return the bytes that the tensors in a value hold on to, a storage shared by several counted once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(value)}
    return sum(storages.values())


def _tensors(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
