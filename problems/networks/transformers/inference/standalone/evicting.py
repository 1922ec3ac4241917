"""A cache of keys and values that keeps to a budget in every layer. Needs torch and transformers.

A prompt is read as ever; then every layer drops what is beyond its budget, and again after each token that follows, so
that no later query sees more keys than the budget. The same code measures candidates and runs exported policies.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.masking_utils import sdpa_mask

NAME = "emoprune-evicting"  # transformers' name for the attention below


@dataclass(frozen=True)
class Policy:
    """What stays of a prompt's keys and values.

    Attributes:
        shares: Per layer, of the prompt's tokens; a layer with 1 never drops anything.
        sinks: How many of the first tokens always stay.
        window: How many of the last tokens always stay.
        representatives: Which share of what is left of a budget goes to keys that are not the most important, chosen to
            be as unlike each other as possible in which heads would keep them.
        importance: Says how important each key is, as the classes in importance.py do.
        thin: Per layer, what says which of the keys that a layer holds each query attends to, as top_p.py does; None
            for all. It is asked in layers that never drop anything, of tokens that follow a prompt.
    """

    shares: Sequence[float]
    sinks: int
    window: int
    representatives: float
    importance: Any
    thin: Sequence[Any] | None = None

    def budgets(self, layer: int, tokens: torch.Tensor) -> torch.Tensor | None:
        """Return how many keys a layer keeps of rows of so many tokens, shape (rows,); None for all of them."""
        share = self.shares[layer]
        if share >= 1:
            return None
        return torch.ceil(tokens * share - 1e-9).long().clamp(min=self.sinks + self.window)


def chosen(scores: torch.Tensor, alive: torch.Tensor, budget: torch.Tensor, policy: Policy) -> torch.Tensor:
    """Return which keys stay, shape (rows, keys): never more than the budget, and all where there are no more.

    Args:
        scores: Shape (rows, heads, keys), keys from the oldest to the newest.
        alive: Which of them are there, shape (rows, keys).
        budget: How many may stay, at least sinks + window, shape (rows,).
        policy: What always stays, and which share are representatives.
    """
    count = alive.cumsum(dim=1)
    held = alive & ((count <= policy.sinks) | (count > count[:, -1:] - policy.window))
    free = alive & ~held
    room = (budget - held.sum(dim=1)).clamp(min=0)[:, None]
    spread = torch.floor(room * policy.representatives).long()
    kept = held | (free & (_rank(scores.sum(dim=1), free) < room - spread))
    if policy.representatives > 0:
        kept |= _representatives(scores, alive, free & ~kept, spread)
    return kept


def _rank(values: torch.Tensor, among: torch.Tensor) -> torch.Tensor:
    """Return each value's rank among those chosen from, shape (rows, keys): 0 is the largest, of equals the newest."""
    turned = values.masked_fill(~among, -math.inf).flip(1)
    order = turned.argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).flip(1)


def _representatives(
    scores: torch.Tensor, alive: torch.Tensor, left: torch.Tensor, wanted: torch.Tensor
) -> torch.Tensor:
    """Return which of those left stand for the others, shape (rows, keys): one of every stretch of signatures.

    A key's signature has a bit for each head: whether the head gave it at least the median of its scores. Keys are
    sorted by how far their signature is from the alternating one, and picked at even distances.
    """
    medians = scores.masked_fill(~alive[:, None], math.nan).nanmedian(dim=2, keepdim=True).values
    anchor = torch.arange(scores.shape[1], device=scores.device)[:, None] % 2 == 0
    distance = ((scores >= medians) != anchor).sum(dim=1)
    rank = _rank(-distance.flip(1).to(scores.dtype), left.flip(1)).flip(1)  # the oldest first, of equals
    number = left.sum(dim=1, keepdim=True).clamp(min=1)
    return left & ((rank + 1) * wanted // number > rank * wanted // number)


class EvictingLayer(DynamicLayer):  # type: ignore[misc]  # transformers has no types
    """The keys and values of one layer within its budget, and what is known of each key."""

    is_croppable = False  # what was dropped does not come back
    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, policy: Policy, layer: int, reach: int | None = None) -> None:
        super().__init__()
        self.policy, self.layer, self.reach = policy, layer, reach
        self.seen = 0  # tokens so far, those that are gone among them
        self.slots = torch.zeros(0, 0, dtype=torch.long)  # places of the keys in the text, -1 for none, (rows, keys)
        self.scores = torch.zeros(0, 0, 0)  # (rows, heads, keys)
        self.budget: torch.Tensor | None = None  # (rows,)
        self.used = torch.zeros(0, dtype=torch.long)  # keys that were attended after the prompt, summed, (rows,)
        self.read = self.used  # bytes that all heads read for that, summed, (rows,)
        self.scored = self.used  # keys that a head scored, summed, (rows,)
        self.steps = self.used  # tokens after the prompt, (rows,)
        self.prompt = 0  # tokens that were read at first

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        """Add keys and values; what is beyond the budget goes once it is known what attends to what."""
        keys, values = super().update(key_states, value_states)
        keys.attending = self  # the attention is handed no cache
        return keys, values

    def get_seq_length(self) -> int:
        """Return the number of tokens so far, so that positions are those in the text."""
        return self.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many keys a query sees and how many came before; the last columns of a mask are the new ones."""
        held = self.slots.shape[1]
        return held + query_length, self.seen - held

    def attended(
        self, logits: torch.Tensor, mask: torch.Tensor | None, query: torch.Tensor, key: torch.Tensor
    ) -> torch.Tensor:
        """Return weights from logits, both (rows, heads, queries, keys), and drop what is beyond the budget.

        Args:
            logits: Of queries and keys.
            mask: The model's own; None where all tokens before a query may be attended to.
            query: Scaled as the model scales products, shape (rows, heads, queries, width).
            key: Shape (rows, key heads, keys, width).
        """
        rows, _, new, _ = logits.shape
        fresh = _tokens(mask, rows, new, logits.device)
        places = torch.where(fresh, torch.arange(new, device=logits.device) + self.seen, -1)
        first, self.seen = self.seen == 0, self.seen + new
        if first:
            return self._read(logits, mask, fresh, places)
        return self._followed(logits, fresh, places, (query, key))

    def _read(
        self, logits: torch.Tensor, mask: torch.Tensor | None, fresh: torch.Tensor, places: torch.Tensor
    ) -> torch.Tensor:
        visible = _causal(places, places, self.reach) if mask is None else _plain(mask)[:, 0] & fresh[:, None]
        weights = _softmax(logits, visible[:, None]) * fresh[:, None, :, None]
        self.begin(self.policy.importance.start(weights), places)
        return weights

    def begin(self, scores: torch.Tensor, places: torch.Tensor) -> None:
        """Take in a prompt that was read, whose keys are here, and drop what is beyond the budget.

        Args:
            scores: Shape (rows, heads, keys).
            places: In the text, -1 for padding, shape (rows, keys).
        """
        alive = places >= 0
        self.scores, self.slots, self.seen = scores, places, places.shape[1]
        self.budget = self.policy.budgets(self.layer, alive.sum(dim=1))
        if self.reach is not None:  # a budget is not spent on what no query to come can see
            alive &= places > self.seen - self.reach
        self.used = torch.zeros(len(places), dtype=torch.float64, device=places.device)
        self.read, self.scored = torch.zeros_like(self.used), torch.zeros_like(self.used)
        self.steps = torch.zeros(len(places), dtype=torch.long, device=places.device)
        self.prompt = self.seen
        if self.budget is not None:
            self._hold(chosen(scores, alive, self.budget, self.policy))

    def _followed(
        self, logits: torch.Tensor, fresh: torch.Tensor, places: torch.Tensor, sides: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """Return the weights of tokens that follow: each drops what is beyond the budget, then attends to the rest."""
        rows, heads, new, total = logits.shape
        held = total - new
        self.slots = torch.cat([self.slots, places], dim=1)
        self.scores = torch.cat([self.scores, self.scores.new_zeros(rows, heads, new)], dim=2)
        if self.budget is None:
            return self._thinned(logits, _causal(places, self.slots, self.reach), fresh, sides)
        alive = self.slots >= 0
        alive[:, held:] = False
        weights = torch.zeros_like(logits)
        for step in range(new):
            alive[:, held + step] = fresh[:, step]
            if self.reach is not None:
                alive &= self.slots > self.seen - new + step - self.reach
            if bool((alive.sum(dim=1) > self.budget).any()):
                alive = chosen(self.scores, alive, self.budget, self.policy)
            own = _softmax(logits[:, :, step], alive[:, None]) * fresh[:, step, None, None]
            weights[:, :, step] = own
            self.scores = self.policy.importance.follow(self.scores, own)
            attended = alive.sum(dim=1, keepdim=True)
            read = heads * attended * 2 * sides[0].shape[3] * 4
            self._count(attended, read, attended, fresh[:, step : step + 1])
        self._hold(alive)
        return weights

    def _thinned(
        self,
        logits: torch.Tensor,
        visible: torch.Tensor,
        fresh: torch.Tensor,
        sides: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """Return the weights of tokens that follow where nothing is dropped: of all that is visible, or of some."""
        thin = None if self.policy.thin is None else self.policy.thin[self.layer]
        heads, width = logits.shape[1], sides[0].shape[3]
        if thin is None:
            attended = visible.sum(dim=2)
            self._count(attended, heads * attended * 2 * width * 4, attended, fresh)
            if self.reach is not None:
                self._hold((self.slots >= 0) & (self.slots >= self.seen - self.reach))
            return _softmax(logits, visible[:, None])
        kept, read, scored = thin.kept(*sides, logits, visible, self.slots[:, : self.prompt] >= 0)
        self._count(kept.sum(dim=3).double().mean(dim=1), read, scored, fresh)
        return _softmax(logits, kept)

    def _count(self, attended: torch.Tensor, read: torch.Tensor, scored: torch.Tensor, fresh: torch.Tensor) -> None:
        """Take note of keys that queries attended to, bytes that all heads read, and keys that a head scored for it.

        All of them have the shape (rows, queries).
        """
        self.used = self.used + (attended * fresh).sum(dim=1)
        self.read = self.read + (read * fresh).sum(dim=1)
        self.scored = self.scored + (scored * fresh).sum(dim=1)
        self.steps = self.steps + fresh.sum(dim=1)

    def _hold(self, alive: torch.Tensor) -> None:
        """Drop all keys and values but those alive; rows that hold fewer are filled up with nothing."""
        if bool(alive.all()):
            return
        most = int(alive.sum(dim=1).max())
        order = (~alive).to(torch.int8).argsort(dim=1, stable=True)[:, :most]
        self.slots = torch.where(alive, self.slots, -1).gather(1, order)
        self.scores = self.scores.gather(2, order[:, None].expand(-1, self.scores.shape[1], -1))
        places = order[:, None, :, None]
        self.keys = self.keys.gather(2, places.expand(-1, self.keys.shape[1], -1, self.keys.shape[3]))
        self.values = self.values.gather(2, places.expand(-1, self.values.shape[1], -1, self.values.shape[3]))

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Put the rows of beams in another order."""
        self._rows(lambda own: own.index_select(0, beam_idx.to(own.device)))

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row."""
        self._rows(lambda own: own.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows alone."""
        self._rows(lambda own: own[indices, ...])

    def _rows(self, changed: Callable[[torch.Tensor], torch.Tensor]) -> None:
        for name in ("keys", "values", "slots", "scores", "budget", "used", "read", "scored", "steps"):
            own = getattr(self, name)
            if isinstance(own, torch.Tensor):
                setattr(self, name, changed(own))


class EvictingCache(Cache):  # type: ignore[misc]  # transformers has no types
    """The cache of a whole model; one is made for each text or batch of texts."""

    def __init__(self, policy: Policy, config: Any) -> None:
        reaches = reaches_of(config)
        if len(policy.shares) != len(reaches):
            raise ValueError(f"the policy is of {len(policy.shares)} layers, the model has {len(reaches)}")
        super().__init__(layers=[EvictingLayer(policy, layer, reach) for layer, reach in enumerate(reaches)])

    def used(self) -> torch.Tensor:
        """Return how many keys each layer held for each token after the prompt, on average, shape (rows, layers)."""
        return torch.stack([layer.used / layer.steps.clamp(min=1) for layer in self.layers], dim=1)

    def scored(self) -> torch.Tensor:
        """Return how many keys each layer scored for each token after the prompt, on average, shape (rows, layers)."""
        return torch.stack([layer.scored / layer.steps.clamp(min=1) for layer in self.layers], dim=1)

    def read(self) -> torch.Tensor:
        """Return the bytes that all heads of all layers read for each token after the prompt, on average, (rows,).

        Keys and values of 32 bits, as if no two heads shared what they read.
        """
        return torch.stack([layer.read / layer.steps.clamp(min=1) for layer in self.layers]).sum(dim=0)


def reaches_of(config: Any) -> list[int | None]:
    """Return for each layer how many of the last tokens it can attend to; None where to all."""
    own = config.get_text_config(decoder=True)
    window = getattr(own, "sliding_window", None)
    kinds = getattr(own, "layer_types", None)
    if kinds is None:
        return [window] * own.num_hidden_layers
    return [window if kind == "sliding_attention" else None for kind in kinds]


def attention(  # noqa: PLR0917  # transformers' signature
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,  # noqa: ARG001  # transformers'; nothing is trained with this
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend to what the layer's cache keeps; to all that the mask allows where there is no such cache."""
    groups = query.shape[1] // key.shape[1]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    logits = (query @ key.repeat_interleave(groups, dim=1).transpose(2, 3)) * scale
    logits = logits if softcap is None else torch.tanh(logits / softcap) * softcap
    layer = getattr(key, "attending", None)
    if layer is not None:
        weights = layer.attended(logits, attention_mask, query * scale, key)
    else:
        places = torch.arange(key.shape[2], device=key.device)[None]
        reach = getattr(module, "sliding_window", None)
        plain = _causal(places[:, -query.shape[2] :], places, reach)[:, None] if attention_mask is None else None
        weights = _softmax(logits, _plain(attention_mask) if plain is None else plain)
    output = weights.to(query.dtype) @ value.repeat_interleave(groups, dim=1)
    return output.transpose(1, 2).contiguous(), None


def _tokens(mask: torch.Tensor | None, rows: int, new: int, device: Any) -> torch.Tensor:
    """Return which of the new places hold a token and no padding, shape (rows, new): those that some query may see."""
    if mask is None:
        return torch.ones(rows, new, dtype=torch.bool, device=device)
    return _plain(mask)[:, 0, :, -new:].any(dim=1).expand(rows, -1)


def _plain(mask: Any) -> torch.Tensor:
    """Return a mask as True where may be attended."""
    plain: torch.Tensor = mask if mask.dtype == torch.bool else mask >= 0
    return plain


def _causal(queries: torch.Tensor, keys: torch.Tensor, reach: int | None) -> torch.Tensor:
    """Return which keys queries may see by their places, -1 for none, shape (rows, queries, keys)."""
    apart = queries[:, :, None] - keys[:, None]
    visible = (apart >= 0) & (keys >= 0)[:, None]
    return visible if reach is None else visible & (apart < reach)


def _softmax(logits: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Return weights over the visible keys, zeros where there are none."""
    hidden = logits.masked_fill(~visible, torch.finfo(logits.dtype).min)
    return hidden.softmax(dim=-1, dtype=torch.float32) * visible


def patched(model: Any, policy: Policy) -> Any:
    """Return the model, whose `generate` now uses a cache that keeps to the policy; no code of it is changed.

    Called by itself it does so with `EvictingCache(policy, model.config)` as its cache. `generate` raises a ValueError
    where it is told to use no cache.
    """
    use(model)
    own, name = model.generate, cache_argument(model)

    def generate(*arguments: Any, **named: Any) -> Any:
        if not named.setdefault("use_cache", True):
            raise ValueError("use_cache: expected True, since the policy is of the cache, found False; leave it out")
        named.setdefault(name, EvictingCache(policy, model.config))
        return own(*arguments, **named)

    model.generate = generate
    return model


def use(model: Any) -> None:
    """Let the model attend by the function above."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def cache_argument(model: Any) -> str:
    """Return what the model calls its cache; it was renamed between versions of transformers."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
