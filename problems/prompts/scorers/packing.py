"""Texts of different lengths one behind the other in a single row: nothing is padded but what attention looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from emoprune.problems.language.quiet import quiet
from emoprune.problems.prompts.scorers.batching import batches
from emoprune.problems.prompts.scorers.reading import CannotRead
from emoprune.space import IntArray

__all__ = ["Packed", "packed_attention"]

NAME = "emoprune-packed"
STARTING = 4  # what one more group in the same row costs, in tokens: its attention alone
OTHERWISE = ("position_bias", "s_aux", "sliding_window", "softcap")  # attention that packing does not imitate

KeysAndValues = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Texts of similar lengths: `places` of their tokens in the row, shape (texts, longest), the last one repeated.

    `real` says which are no repetitions, and `seen` what each token looks at, shape (longest, shared + longest).
    """

    places: torch.Tensor
    real: torch.Tensor
    seen: torch.Tensor

    @classmethod
    def of(cls, starts: IntArray, lengths: IntArray, shared: int, device: str) -> Group:
        """Return the group of the texts that start there and are so long."""
        longest = int(lengths.max())
        offsets, ends = torch.arange(longest), torch.from_numpy(lengths)[:, None]
        places = torch.from_numpy(starts)[:, None] + torch.minimum(offsets, ends - 1)
        seen = torch.ones(longest, shared + longest, dtype=torch.bool).tril(shared)
        return cls(places.to(device), (offsets < ends).to(device), seen.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Texts in a row, in groups for attention; `beginning` has keys and values, by layer, of what each begins with."""

    groups: Sequence[Group]
    beginning: Sequence[KeysAndValues]

    @classmethod
    def of(cls, lengths: IntArray, most_tokens: int, shared: int, cache: Any | None, device: str) -> Packed:
        """Return texts of these lengths, shape (texts,), in their order, each after `shared` tokens that `cache` holds.

        Raises:
            CannotRead: The cache holds other things than keys and values.
        """
        layers = [] if cache is None else cache.layers
        strange = next((type(layer).__name__ for layer in layers if not hasattr(layer, "keys")), None)
        if strange is not None:
            raise CannotRead(f"expected a cache of keys and values, found {strange}")
        starts = lengths.cumsum() - lengths
        together = batches(lengths, most_tokens, STARTING)
        groups = [Group.of(starts[group], lengths[group], shared, device) for group in together]
        return cls(groups, [(layer.keys, layer.values) for layer in layers])

    def attended(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
    ) -> torch.Tensor:
        """Let each text attend to its beginning and itself.

        Shapes: query (heads, tokens, width), key and value the same with as many heads or a part of them, the result
        (tokens, heads, width).
        """
        found = torch.empty_like(query.transpose(0, 1))
        for group in self.groups:
            keys, values = (
                self._seen(layer, number, own[:, group.places], len(query)) for number, own in enumerate((key, value))
            )
            asking = query[:, group.places].transpose(0, 1)
            attended = torch.nn.functional.scaled_dot_product_attention(
                asking, keys, values, attn_mask=group.seen, scale=scaling
            )
            found[group.places[group.real]] = attended.transpose(1, 2)[group.real]
        return found

    def _seen(self, layer: int, number: int, own: torch.Tensor, heads: int) -> torch.Tensor:
        """Return a group's keys or values with those of the beginning before them, shape (texts, heads, n, width)."""
        joined = own.transpose(0, 1)
        if self.beginning:
            before = self.beginning[layer][number].expand(len(joined), -1, -1, -1)
            joined = torch.cat([before, joined], dim=2)
        repeats = heads // joined.shape[1]
        return joined.repeat_interleave(repeats, dim=1) if repeats > 1 else joined


@contextmanager
def packed_attention(model: Any) -> Iterator[None]:
    """Let a model attend as the `packed` says that its forward is given.

    Raises:
        CannotRead: It does not attend through the interface that can be told.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attend)
    before = model.config._attn_implementation  # noqa: SLF001  # there is a public way to set it, none to ask for it
    with quiet():  # it says so where it cannot, and goes on
        model.set_attn_implementation(NAME)
    try:
        if model.config._attn_implementation != NAME:  # noqa: SLF001  # see above
            raise CannotRead(f"{type(model).__name__} does not let its attention be set")
        yield
    finally:
        model.set_attn_implementation(before)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001  # what the interface gives; here the packing says it all
    *,
    scaling: float | None = None,
    packed: Packed | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Attend to a batch of one row, as the attention interface of transformers wants it."""
    strange = [name for name in OTHERWISE if more.get(name) is not None]
    if packed is None or strange or not getattr(module, "is_causal", True):
        raise CannotRead(f"{type(module).__name__} attends in a way of its own: {', '.join(strange) or 'not told'}")
    return packed.attended(module.layer_idx, query[0], key[0], value[0], scaling)[None], None
