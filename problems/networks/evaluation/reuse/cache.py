"""Caches of limited size: one forgets what was not used for longest, one what saves least work per byte."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from emoprune.errors import ContractError

__all__ = ["GDSFCache", "LRUCache", "bytes_of"]

Kept = TypeVar("Kept")

OVERHEAD = 512  # bytes per entry besides its tensors, so that empty ones count too


class LRUCache(Generic[Kept]):
    """Values by key, at most `limit` bytes of them by the sizes they were put in with; 0 keeps nothing."""

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ContractError(f"a cache's limit: expected 0 bytes or more, found {limit}")
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


@dataclass(slots=True)
class _Entry(Generic[Kept]):
    value: Kept
    size: int
    work: float
    worth: float
    uses: int = 1


class GDSFCache(Generic[Kept]):
    """Values by key, at most `limit` bytes of them by the sizes they were put in with; 0 keeps nothing.

    Scans in a sorted order, as of generations, drive all out of a cache that goes by recency alone before anything is
    needed again. Here the value goes first whose uses times the work to make it anew, per byte, are least; what was
    forgotten last raises the worth of whatever is used from then on, so that old fame fades. Source: Cherkasova,
    Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy, HP Labs HPL-98-69R1, 1998.
    """

    def __init__(self, limit: int) -> None:
        if limit < 0:
            raise ContractError(f"a cache's limit: expected 0 bytes or more, found {limit}")
        self.limit = limit
        self.used = 0
        self._kept: dict[Hashable, _Entry[Kept]] = {}
        self._queue: list[tuple[float, int, Hashable]] = []  # worths rise only, so that an old one is put right late
        self._put = 0
        self._floor = 0.0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Kept | None:
        """Return the value, or None; only `touch` counts a use."""
        found = self._kept.get(key)
        return None if found is None else found.value

    def touch(self, key: Hashable) -> None:
        """Count a use, if the value is there."""
        if (found := self._kept.get(key)) is not None:
            found.uses += 1
            found.worth = self._worth(found)

    def put(self, key: Hashable, value: Kept, size: int, work: float) -> None:
        """Keep a value of `size` bytes that took so much work, in any unit, and forget others until it fits.

        One larger than the limit is not kept.
        """
        if key in self._kept:
            self.used -= self._kept.pop(key).size
        size += OVERHEAD
        if size > self.limit:
            return
        while self.used + size > self.limit:
            self._forget()
        entry = _Entry(value, size, work, 0.0)
        entry.worth = self._worth(entry)
        self._kept[key] = entry
        self.used += size
        self._put += 1
        heapq.heappush(self._queue, (entry.worth, self._put, key))

    def _worth(self, entry: _Entry[Kept]) -> float:
        return self._floor + entry.uses * entry.work / entry.size

    def _forget(self) -> None:
        while True:
            worth, number, key = heapq.heappop(self._queue)
            entry = self._kept.get(key)
            if entry is None:
                continue
            if worth < entry.worth:
                heapq.heappush(self._queue, (entry.worth, number, key))
                continue
            self._floor = worth
            self.used -= self._kept.pop(key).size
            return


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
