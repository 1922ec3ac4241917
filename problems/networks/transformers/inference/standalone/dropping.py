"""Dropping tokens between the layers of an encoder. Needs torch and transformers.

What is dropped takes no part in any later layer. Behind the last layer its place is filled up with the mean of what
stayed, so that the mean over all tokens, where a model pools by it, is the mean over those that stayed.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

NAME = "emoprune-dropping"  # transformers' name for the attention below


@dataclass(frozen=True)
class TokenPolicy:
    """What is dropped where.

    Attributes:
        layer: The layer before which tokens are dropped; None for nowhere.
        share: Of the tokens that may go, which share stays there, where the selector has no counts of its own.
        offset: How many more than its own counts stay, where it has some.
        strength: What the selector is used with.
        selector: As the classes in token_selectors.py.
        later: A deeper layer before which the least attended of those that stayed go; None for none.
        later_share: Which share of them stays.
        first: How many of the first tokens never go, such as a class token.
        special: Tokens of a text that never go, by their numbers in the vocabulary.
    """

    layer: int | None
    share: float
    offset: int
    strength: float
    selector: Any
    later: int | None
    later_share: float
    first: int
    special: Sequence[int]


class Dropping:
    """Which tokens are left while a model runs; one for a model, begun anew with each batch.

    Args:
        policy: What is dropped.
        selectors: The module token_selectors.
        layers: How many layers the model has.
    """

    def __init__(self, policy: TokenPolicy, selectors: Any, layers: int) -> None:
        self.policy, self.selectors, self.layers = policy, selectors, layers
        self.number = 0  # tokens before anything was dropped; 0 says that nothing was begun
        self.used = torch.zeros(0)  # tokens that went into each layer, (layers, rows)
        self.known: Callable[[int, torch.Tensor, torch.Tensor], Any] | None = None  # chosen before, for replaying

    def begin(self, inputs: Mapping[str, Any], hidden: torch.Tensor) -> None:
        """Take in a batch: which of its tokens are there, and which never go."""
        rows, self.number = hidden.shape[:2]
        device = hidden.device
        ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
        self.alive = torch.ones(rows, self.number, dtype=torch.bool, device=device) if mask is None else mask.bool()
        self.held = torch.zeros_like(self.alive)
        self.held[:, : self.policy.first] = True
        if ids is not None and self.policy.special:
            self.held |= torch.isin(ids, torch.tensor(list(self.policy.special), device=device))
        self.places = torch.arange(self.number, device=device).expand(rows, -1)
        self.went = False  # whether something was dropped; padding is left as the model has it until then
        self.attention = torch.zeros(0, device=device)
        self.used = torch.zeros(self.layers, rows, dtype=torch.long, device=device)

    def entered(self, number: int, hidden: torch.Tensor) -> torch.Tensor:
        """Return the hidden states that a layer is given."""
        if number == self.policy.layer:
            hidden = self._stage(number, hidden)
        if number == self.policy.later:
            hidden = self._later(hidden)
        self.used[number] = self.alive.sum(dim=1)
        return hidden

    def units(self, hidden: torch.Tensor) -> Any:
        """Return the tokens that may go, as selectors see them; what asks is the first token, or all where none is."""
        asks = slice(0, 1) if self.policy.first else slice(None)
        queries, attention = hidden[:, asks], self.attention
        if not self.policy.first:
            there = self.alive[:, :, None]
            queries = (hidden * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1)
        return self.selectors.Units(hidden, attention[:, None], queries, self.alive & ~self.held)

    def _stage(self, number: int, hidden: torch.Tensor) -> torch.Tensor:
        policy = self.policy
        if self.known is not None:
            ranks, counts = self.known(number, hidden, self.attention)
        else:
            units = self.units(hidden)
            ranks = self.selectors.ranks(policy.selector, units, policy.strength)
            counts = policy.selector.counts(units) if hasattr(policy.selector, "counts") else None
        free = self.alive & ~self.held
        number_of = free.sum(dim=1)
        if counts is None:
            wanted = torch.ceil(number_of * policy.share - 1e-6).long()
        else:
            wanted = torch.minimum((counts + policy.offset).clamp(min=1), number_of)
        return self.keep(self.alive & (self.held | (ranks < wanted[:, None])), hidden)

    def _later(self, hidden: torch.Tensor) -> torch.Tensor:
        free = self.alive & ~self.held
        scores = self.attention.masked_fill(~free, -math.inf)
        ranks = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        wanted = torch.ceil(free.sum(dim=1) * self.policy.later_share - 1e-6).long()
        return self.keep(self.alive & (self.held | (ranks < wanted[:, None])), hidden)

    def keep(self, kept: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """Return the hidden states of these tokens alone, shape (rows, most, width); shorter rows are filled up."""
        if bool((kept == self.alive).all()):
            return hidden
        self.went = True
        most = int(kept.sum(dim=1).max())
        order = (~kept).to(torch.int8).argsort(dim=1, stable=True)[:, :most]
        self.alive, self.held = kept.gather(1, order), self.held.gather(1, order)
        self.places = self.places.gather(1, order)
        self.attention = self.attention.gather(1, order)
        return hidden.gather(1, order[:, :, None].expand(-1, -1, hidden.shape[2]))

    def attended(self, weights: torch.Tensor) -> None:
        """Take note of what each token gets from the one that asks, over all heads; of all where none asks."""
        mean = weights.mean(dim=1)
        if self.policy.first:
            self.attention = mean[:, 0]
        else:
            self.attention = (mean * self.alive[:, :, None]).sum(dim=1) / self.alive.sum(dim=1, keepdim=True)

    def masked(self, logits: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Return logits, shape (rows, heads, queries, keys), hidden where there is no token, or the mask says so."""
        visible = self.alive[:, None, None, :].expand(-1, 1, logits.shape[2], -1)
        if mask is not None:
            own = mask if mask.dtype == torch.bool else mask >= 0
            own = own.expand(len(logits), -1, -1, -1)
            if own.shape[3] == self.number:
                own = own.gather(3, self.places[:, None, None, :].expand(-1, own.shape[1], own.shape[2], -1))
            if own.shape[2] == self.number:
                own = own.gather(2, self.places[:, None, :, None].expand(-1, own.shape[1], -1, own.shape[3]))
            visible = visible & own
        return logits.masked_fill(~visible, torch.finfo(logits.dtype).min)

    def filled_up(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return hidden states for all tokens again: of those that are gone the mean of those that stayed."""
        if not self.went:
            return hidden
        there = self.alive[:, :, None]
        mean = (hidden * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1)
        whole = mean.expand(-1, self.number, -1).clone()
        values = torch.where(there, hidden, mean)
        return whole.scatter(1, self.places[:, :, None].expand(-1, -1, hidden.shape[2]), values)


def attention(  # noqa: PLR0917  # transformers' signature
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,  # noqa: ARG001  # transformers'; nothing is trained with this
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend among the tokens that are left, and take note of what they get."""
    groups = query.shape[1] // key.shape[1]
    logits = query @ key.repeat_interleave(groups, dim=1).transpose(2, 3)
    logits = logits * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    state = getattr(module, "dropping", None)
    if state is not None and state.number:
        logits = state.masked(logits, attention_mask)
    elif attention_mask is not None:
        own = attention_mask if attention_mask.dtype == torch.bool else attention_mask >= 0
        logits = logits.masked_fill(~own, torch.finfo(logits.dtype).min)
    weights = logits.softmax(dim=-1, dtype=torch.float32)
    if state is not None and state.number:
        state.attended(weights)
    output = weights.to(query.dtype) @ value.repeat_interleave(groups, dim=1)
    return output.transpose(1, 2).contiguous(), None


def watched(layers: Sequence[Any], state: Dropping) -> list[Any]:
    """Let layers drop tokens as the state says; return what undoes it."""
    handles = []
    for number, layer in enumerate(layers):
        for module in layer.modules():
            module.dropping = state
        handles.append(layer.register_forward_pre_hook(_before(number, state), with_kwargs=True))
    handles.append(layers[-1].register_forward_hook(_behind(state)))
    return handles


def _before(number: int, state: Dropping) -> Callable[..., Any]:
    def hook(_layer: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if not state.number:
            return None
        if arguments:
            return (state.entered(number, arguments[0]), *arguments[1:]), named
        return arguments, {**named, "hidden_states": state.entered(number, named["hidden_states"])}

    return hook


def _behind(state: Dropping) -> Callable[..., Any]:
    def hook(_layer: Any, _arguments: Any, outputs: Any) -> Any:
        if not state.number:
            return None
        if isinstance(outputs, tuple):
            return (state.filled_up(outputs[0]), *outputs[1:])
        return state.filled_up(outputs)

    return hook


def use(model: Any) -> None:
    """Let the model attend by the function above."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def patched(model: Any, policy: TokenPolicy, path: str, selectors: Any) -> Any:
    """Return the model, which from now on drops tokens; its `dropping` says what it used. No code of it is changed.

    Args:
        model: Of transformers.
        policy: What is dropped.
        path: Where its layers are.
        selectors: The module token_selectors.
    """
    use(model)
    layers = model.get_submodule(path)
    state = Dropping(policy, selectors, len(layers))
    names = list(inspect.signature(model.forward).parameters)
    given: dict[str, Any] = {}

    def took(_model: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        given.clear()
        given.update({**dict(zip(names, arguments, strict=False)), **named})
        state.number = 0

    def begun(_layer: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        state.begin(given, arguments[0] if arguments else named["hidden_states"])

    model.register_forward_pre_hook(took, with_kwargs=True)
    layers[0].register_forward_pre_hook(begun, with_kwargs=True)
    watched(layers, state)
    model.dropping = state
    return model
