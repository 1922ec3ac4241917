"""A language model loaded here, with a head that is as wide as what it is asked about."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError, EmopruneError
from emoprune.problems.language.loading import LoadedModel

__all__ = ["CannotRead", "LocalModel", "check_fast", "limit_of", "too_long"]

MANY = 10**9  # tokens; what tokenizers and configs say that know no limit is larger


class CannotRead(EmopruneError, TypeError):
    """A model is not made in the way that reading several texts together takes."""


class LocalModel:
    """A model with its tokenizer on a device; its head projects to whole vocabulary or to some tokens alone.

    Args:
        loaded: The model in eval mode.
        device: Where it is put.
        special: Whether texts get the special tokens that the tokenizer puts around them.
    """

    def __init__(self, loaded: LoadedModel, device: str, *, special: bool) -> None:
        self.loaded = loaded
        self.model: Any = loaded.model.to(device)
        self.tokenizer: Any = loaded.tokenizer
        self.device = device
        self._special = special
        self._head: Any = self.model.get_output_embeddings()
        self._narrow: tuple[tuple[int, ...], Any] | None = None
        takes = inspect.signature(self.model.forward).parameters
        self.cache_argument = next((name for name in ("cache", "past_key_values") if name in takes), None)

    @property
    def limit(self) -> int:
        """How many tokens a text may have."""
        return limit_of(self.model.config, self.tokenizer)

    @property
    def padding(self) -> int:
        """The token that fills a batch up; what it is makes no difference, as nothing looks at it."""
        known = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return next(int(token) for token in known if token is not None)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text."""
        found: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=self._special)["input_ids"]
        return found

    @contextmanager
    def projecting(self, tokens: tuple[int, ...] | None) -> Iterator[Any]:
        """Give the model with a head that projects to `tokens` alone, in their order, or to all for None.

        The head is put in its place and not used beside the model, so whatever the model does to its logits (a scale, a
        soft cap) is done to these as well.
        """
        if tokens is None or not isinstance(self._head, nn.Linear):
            yield self.model
            return
        if self._narrow is None or self._narrow[0] != tokens:
            self._narrow = (tokens, _narrowed(self._head, tokens))
        self.model.set_output_embeddings(self._narrow[1])
        try:
            yield self.model
        finally:
            self.model.set_output_embeddings(self._head)

    def chosen(self, logits: torch.Tensor, tokens: tuple[int, ...]) -> torch.Tensor:
        """Return the logits of `tokens` in their order, from logits that `projecting(tokens)` made."""
        if logits.shape[-1] == len(tokens) and isinstance(self._head, nn.Linear):
            return logits
        return logits[..., list(tokens)]


def _narrowed(head: nn.Linear, tokens: tuple[int, ...]) -> nn.Linear:
    rows = torch.tensor(tokens, device=head.weight.device)
    narrow = nn.Linear(head.in_features, len(tokens), bias=head.bias is not None)
    narrow.weight = nn.Parameter(head.weight[rows], requires_grad=False)
    if head.bias is not None:
        narrow.bias = nn.Parameter(head.bias[rows], requires_grad=False)
    return narrow.eval()


def limit_of(config: Any, tokenizer: Any) -> int:
    """Return how many tokens a text may have."""
    limit = getattr(config, "max_position_embeddings", None)
    usual = getattr(tokenizer, "model_max_length", MANY)
    offset = 2 if config.model_type in {"roberta", "xlm-roberta", "camembert"} else 0  # their padding's
    return int(min(MANY, usual, (limit or MANY) - offset))


def too_long(ids: Sequence[Sequence[int]], limit: int, answer_tokens: int = 1) -> str | None:
    """Say if the longest of some texts, as tokens, has more than a model reads, with room for an answer."""
    longest = max(map(len, ids))
    if longest + answer_tokens - 1 <= limit:  # the last token of an answer is written, and not read
        return None
    answer = "" if answer_tokens == 1 else f" and an answer has up to {answer_tokens}"
    return f"the longest example makes {longest} tokens of the prompt{answer}, the model reads {limit}"


def check_fast(tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer that cannot say where in a text its tokens stand.

    Raises:
        ConfigError: It cannot.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ConfigError(f"model: the tokenizer of {name!r} does not say where its tokens stand; give a fast one")
