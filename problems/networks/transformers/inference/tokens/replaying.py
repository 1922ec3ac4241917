"""Running policies on what the unpruned model computed: from the layer on before which something is dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.inference.standalone import token_selectors
from emoprune.problems.networks.transformers.inference.standalone.dropping import Dropping, TokenPolicy, watched
from emoprune.problems.networks.transformers.running.passing import Calls, Rest, calls_of

__all__ = ["Replay", "bytes_of"]


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """What comes into one layer of the unpruned model: hidden states, and the attention that tokens got before it."""

    hidden: torch.Tensor
    attention: torch.Tensor


class Replay:
    """A model's layers under any policy; what the unpruned model computes is kept, and what selectors chose.

    Args:
        narrower: Of the unpruned model, which attends as `dropping.use` makes it.
        parts: Batches by part, on its device.
        layers: Before which tokens may be dropped.
    """

    def __init__(self, narrower: Narrower, parts: Mapping[str, Sequence[Batch]], layers: Sequence[int]) -> None:
        self._narrower, self._parts, self._layers = narrower, parts, layers
        self._blocks = list(narrower.model.get_submodule(narrower.anatomy.path))
        self._rest = Rest(narrower, next(iter(parts.values()))[0].inputs)
        nothing = TokenPolicy(None, 1.0, 0, 1.0, None, None, 1.0, 0, ())
        self._state = Dropping(nothing, token_selectors, len(self._blocks))
        watched(self._blocks, self._state)
        self._calls: dict[str, list[Calls]] = {}
        self._entries: dict[tuple[str, int], list[dict[int, _Entry]]] = {}
        self._chosen: dict[tuple[Any, ...], tuple[torch.Tensor, torch.Tensor | None]] = {}

    def outputs(self, policy: TokenPolicy, part: str) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return what the model puts out for each batch, and the tokens that went into each layer, (layers, rows)."""
        found, used = [], []
        for number, batch in enumerate(self._parts[part]):
            hidden, own = self._run(policy, part, number)
            found.append(self._rest(hidden, batch.inputs))
            used.append(own)
        return found, torch.cat(used, dim=1)

    def _run(self, policy: TokenPolicy, part: str, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        calls, state, batch = self._called(part)[number], self._state, self._parts[part][number]
        entries = self._entered(policy.first, part, number)
        first = min(own for own in (policy.layer, policy.later, len(self._blocks) - 1) if own is not None)
        known = entries.get(first)
        state.policy = policy
        state.begin(batch.inputs, calls.hidden)
        state.known = lambda layer, hidden, attention: self._ranked(policy, (part, number, layer), hidden, attention)
        begin, hidden = (0, calls.hidden) if known is None else (first, known.hidden)
        if known is not None:
            state.attention = known.attention
            state.used[:first] = state.alive.sum(dim=1)
        try:
            for layer in range(begin, len(self._blocks)):
                hidden = calls.run(layer, self._blocks[layer], hidden)
            return hidden, state.used
        finally:
            state.number = 0  # what others run through these layers is left alone

    def _ranked(
        self, policy: TokenPolicy, place: tuple[str, int, int], hidden: torch.Tensor, attention: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return in which order a selector takes the tokens of a batch, and its own counts if it has some."""
        key = (*place, policy.selector, policy.strength)
        if key not in self._chosen:
            self._state.attention = attention
            units = self._state.units(hidden)
            counts = policy.selector.counts(units) if hasattr(policy.selector, "counts") else None
            self._chosen[key] = (token_selectors.ranks(policy.selector, units, policy.strength), counts)
        return self._chosen[key]

    def _entered(self, first: int, part: str, number: int) -> dict[int, _Entry]:
        """Return what comes into each layer before which tokens may be dropped, in the unpruned model."""
        key = (part, first)
        if key not in self._entries:
            self._entries[key] = [self._watched(first, part, place) for place in range(len(self._parts[part]))]
        return self._entries[key][number]

    def _watched(self, first: int, part: str, number: int) -> dict[int, _Entry]:
        calls, state = self._called(part)[number], self._state
        state.policy = TokenPolicy(None, 1.0, 0, 1.0, None, None, 1.0, first, ())
        state.begin(self._parts[part][number].inputs, calls.hidden)
        hidden, entries = calls.hidden, {}
        for layer, block in enumerate(self._blocks):
            if layer in self._layers:
                entries[layer] = _Entry(hidden, state.attention)
            hidden = calls.run(layer, block, hidden)
        state.number = 0
        return entries

    def _called(self, part: str) -> list[Calls]:
        if part not in self._calls:
            self._state.number = 0
            self._calls[part] = [calls_of(self._narrower, batch.inputs) for batch in self._parts[part]]
        return self._calls[part]


def bytes_of(parts: Mapping[str, Sequence[Batch]], tokens: int, width: int, layers: int, orders: int) -> int:
    """Return the bytes of the largest part's kept states: hidden and attention by layer, and an order per selector."""
    rows = max(sum(len(batch.labels) for batch in batches) for batches in parts.values())
    return rows * tokens * layers * (4 * (width + 1) + 8 * orders)
