"""Attending to the keys that are found in ever smaller chunks. Needs torch alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

STORED = 4  # bytes of a number of 32 bits


@dataclass(frozen=True)
class Hierarchy:
    """Of chunks of the prompt's keys those with the best representative, then of smaller chunks of these, and so on.

    A chunk's representative is found by halving: of both halves one key, the first, is scored, and the better half is
    halved again; a key's score is its highest product with the query in any head, as the heads of a layer choose
    together. The first tokens, the newest, and all that followed the prompt are attended to besides.

    Attributes:
        share: How many keys the last stage keeps, of the prompt's.
        chunks: Keys in a chunk at each stage, powers of two, falling.
        widening: Each earlier stage keeps so many times as many keys as the one behind it.
        sinks: How many of the first tokens are always attended to.
        window: How many of the newest tokens are.
    """

    share: float
    chunks: Sequence[int]
    widening: float
    sinks: int
    window: int

    def kept(
        self,
        query: torch.Tensor,
        key: torch.Tensor,  # noqa: ARG002  # what others look at
        logits: torch.Tensor,
        visible: torch.Tensor,
        there: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return which keys are attended to, bytes that are read, and keys that are scored, the latter (rows, queries).

        Args:
            query: Scaled as the model scales products, shape (rows, heads, queries, width).
            key: Shape (rows, key heads, keys, width).
            logits: Of both, shape (rows, heads, queries, keys).
            visible: Which keys a query may see, shape (rows, queries, keys).
            there: Which of the keys that were read at first are no padding, shape (rows, those keys).
        """
        heads, queries, width = query.shape[1], query.shape[2], query.shape[3]
        prompt = there.shape[1]
        may = visible[:, :, :prompt] & there[:, None]
        best = logits[..., :prompt].amax(dim=1).masked_fill(~may, -math.inf)
        wanted = torch.ceil(there.sum(dim=1) * self.share - 1e-9)[:, None].expand(-1, queries)
        found, probed = self._searched(best, may, wanted)
        kept = visible.clone()
        kept[:, :, :prompt] &= found
        newest = visible.flip(2).cumsum(dim=2).flip(2) <= self.window
        oldest = visible.cumsum(dim=2) <= self.sinks
        kept |= visible & (newest | oldest)
        attended = kept.sum(dim=2)
        read = heads * width * STORED * (probed + 2 * attended)
        return kept[:, None].expand(-1, heads, -1, -1), read, probed + attended

    def _searched(
        self, best: torch.Tensor, may: torch.Tensor, wanted: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which keys of the prompt the stages keep, (rows, queries, keys), and how many were probed for it."""
        left, probed = may.clone(), torch.zeros(may.shape[:2], device=may.device)
        for stage, size in enumerate(self.chunks):
            keep = torch.ceil(wanted * self.widening ** (len(self.chunks) - 1 - stage) - 1e-9)
            enough = left.sum(dim=2) <= keep  # all that is left is kept, and nothing scored
            scores, places, probes = _representatives(best, left, size)
            ranks = scores.argsort(dim=2, descending=True, stable=True).argsort(dim=2)
            chosen = ranks < torch.ceil(keep / size)[:, :, None]
            stays = torch.zeros_like(left).scatter(
                2, places, chosen.repeat_interleave(size, dim=2)[..., : left.shape[2]]
            )
            probed += torch.where(enough, 0.0, probes)
            left = torch.where(enough[:, :, None], left, left & stays)
        return left, probed


def _representatives(
    best: torch.Tensor, left: torch.Tensor, size: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the score of each chunk's representative, where keys stand in chunks, and how many keys were probed.

    Args:
        best: The score of each key, shape (rows, queries, keys).
        left: Which keys are still candidates; they are cut into chunks in their order.
        size: Keys in a chunk.
    """
    keys = left.shape[2]
    places = (~left).to(torch.int8).argsort(dim=2, stable=True)  # the candidates first, in the text's order
    number = math.ceil(keys / size)
    ordered = torch.nn.functional.pad(
        best.masked_fill(~left, -math.inf).gather(2, places), (0, number * size - keys), value=-math.inf
    ).reshape(*best.shape[:2], number, size)
    there = ordered > -math.inf
    start = torch.zeros(ordered.shape[:3], dtype=torch.long, device=best.device)
    probed, half = torch.zeros(best.shape[:2], device=best.device), size // 2
    if size == 1:
        return ordered[..., 0], places, there[..., 0].sum(dim=2).to(probed.dtype)
    score = ordered[..., 0]
    while half:
        sides = [start, start + half]
        first, second = (ordered.gather(3, each[..., None])[..., 0] for each in sides)
        probed += sum(there.gather(3, each[..., None])[..., 0].sum(dim=2) for each in sides)
        start = torch.where(second > first, sides[1], sides[0])
        score, half = torch.maximum(first, second), half // 2
    return score, places, probed
