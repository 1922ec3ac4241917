"""Attending to the keys that get a share of the attention, found with few bits. Needs torch alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

PAST = 1e4  # beyond any key: what stands in for padding in the bounds of a page
STORED = 4  # bytes of a number of 32 bits


@dataclass(frozen=True)
class TopP:
    """Of pages of keys those that may matter most, of their keys those that get a share of the attention.

    The prompt's keys lie in pages; a page's bound is the highest product that the query could have with a key between
    the page's smallest and largest numbers. Keys that followed the prompt are always looked at. What attention the keys
    of the chosen pages get is computed from keys rounded to `bits`; the smallest set that gets a share of `p` of that
    is attended to exactly.

    Attributes:
        p: The share of the attention.
        pages: The share of the pages that are looked at.
        page: Keys in a page.
        bits: To which the keys are rounded, token by token; 32 leaves them as they are.
    """

    p: float
    pages: float
    page: int
    bits: int

    def kept(
        self, query: torch.Tensor, key: torch.Tensor, logits: torch.Tensor, visible: torch.Tensor, there: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return which keys are attended to, bytes that are read, and keys that are scored, the latter (rows, queries).

        Args:
            query: Scaled as the model scales products, shape (rows, heads, queries, width).
            key: Shape (rows, key heads, keys, width).
            logits: Of both, shape (rows, heads, queries, keys).
            visible: Which keys a query may see, shape (rows, queries, keys).
            there: Which of the keys that were read at first are no padding, shape (rows, those keys).
        """
        heads, width = query.shape[1], query.shape[3]
        looked, chosen = self._pages(query, key, visible, there)
        rounded = logits if self.bits >= 32 else self._rounded(query, key)
        shares = rounded.masked_fill(~looked, -math.inf).softmax(dim=-1, dtype=torch.float32)
        ordered, order = shares.sort(dim=-1, descending=True, stable=True)
        enough = ordered.cumsum(dim=-1) - ordered < self.p  # those before it do not have the share yet
        kept = torch.zeros_like(looked).scatter(-1, order, enough) & looked
        per_head = (
            chosen[:, None, None] * 2 * width * STORED
            + looked.sum(dim=3) * width * self.bits / 8
            + kept.sum(dim=3) * (1 if self.bits >= 32 else 2) * width * STORED  # whole keys were read once already
        )
        scored = looked.sum(dim=3).to(torch.float64).mean(dim=1)
        return kept, per_head.expand(-1, heads, -1).sum(dim=1), scored

    def _pages(
        self, query: torch.Tensor, key: torch.Tensor, visible: torch.Tensor, there: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which keys are looked at, (rows, heads, queries, keys), and how many pages each row has, (rows,)."""
        rows, heads = query.shape[:2]
        every = visible[:, None].expand(-1, heads, -1, -1)
        prompt = there.shape[1]
        number = math.ceil(prompt / self.page)
        if self.pages >= 1:
            return every, torch.zeros(rows, device=query.device)
        padding = number * self.page - prompt
        own = torch.nn.functional.pad(key[:, :, :prompt], (0, 0, 0, padding))
        there = torch.nn.functional.pad(there, (0, padding))
        paged = own.reshape(*own.shape[:2], number, self.page, own.shape[3])
        held = there.reshape(rows, 1, number, self.page, 1)
        highest = paged.masked_fill(~held, -PAST).amax(dim=3)
        lowest = paged.masked_fill(~held, PAST).amin(dim=3)
        groups = heads // key.shape[1]
        highest, lowest = (each.repeat_interleave(groups, dim=1) for each in (highest, lowest))
        bounds = query.clamp(min=0) @ highest.transpose(2, 3) + query.clamp(max=0) @ lowest.transpose(2, 3)
        count = held.any(dim=3)[:, 0, :, 0].sum(dim=1)
        wanted = torch.ceil(count * self.pages - 1e-9)
        ranks = bounds.argsort(dim=3, descending=True, stable=True).argsort(dim=3)
        pages = (ranks < wanted[:, None, None, None]).repeat_interleave(self.page, dim=3)[..., :prompt]
        looked = every.clone()
        looked[..., :prompt] &= pages
        return looked, count

    def _rounded(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """Return the logits of keys rounded to so many bits, each between its smallest and its largest number."""
        low, high = key.amin(dim=3, keepdim=True), key.amax(dim=3, keepdim=True)
        step = ((high - low) / (2**self.bits - 1)).clamp(min=torch.finfo(key.dtype).tiny)
        rounded = torch.round((key - low) / step) * step + low
        logits: torch.Tensor = query @ rounded.repeat_interleave(query.shape[1] // key.shape[1], dim=1).transpose(2, 3)
        return logits
