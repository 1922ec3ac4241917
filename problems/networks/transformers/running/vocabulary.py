"""Loss of the next token from hidden states: the logits of the whole vocabulary never exist for all tokens at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from emoprune.errors import ConfigError

__all__ = ["NextTokens"]

CHUNK = 8_000_000  # logits at a time: 32 MB
ROWS, BLOCK = 1024, 1_000_000  # tokens and logits at a time where only sums are kept: 4 MB stay in the cache
TOLERANCE = 1e-4


class NextTokens:
    """A language model's output layer, applied to some hundred tokens at a time.

    Args:
        model: A causal language model.
        rows: How many tokens at a time their sums are taken of.
        block: How many of their logits exist at a time.

    Raises:
        ConfigError: It has no output layer.
    """

    def __init__(self, model: Any, rows: int = ROWS, block: int = BLOCK) -> None:
        self._head: Any = model.get_output_embeddings()
        if self._head is None:
            raise ConfigError("model: it has no output layer over a vocabulary; perplexity needs a language model")
        self._rows, self._block = rows, block
        config = model.config
        self._divide = float(getattr(config, "logits_scaling", 1.0) or 1.0)
        self._multiply = float(getattr(config, "logit_scale", 1.0) or 1.0)
        self._cap = getattr(config, "final_logit_softcapping", None)

    def check(self, model: Any, hidden: torch.Tensor, ids: torch.Tensor) -> None:
        """Hold the logits of a few windows against the model's own.

        Raises:
            ConfigError: The model computes them in another way.
        """
        with torch.no_grad():
            expected = model(input_ids=ids).logits
            in_blocks = torch.cat([block for _, block in self._blocks(hidden.flatten(0, 1))], dim=1)
            found = (self.logits(hidden), in_blocks.view(*hidden.shape[:2], -1))
        limit = TOLERANCE * max(1.0, expected.abs().max())
        if any(own.shape != expected.shape or (own - expected).abs().max() > limit for own in found):
            raise ConfigError(
                f"model: {type(model).__name__} computes its logits in a way that is not known (something beside a "
                "linear layer, a scale or a soft cap after the last norm); its perplexity cannot be measured here"
            )

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits of tokens with these hidden states."""
        return self._scaled(self._head(hidden))

    def _scaled(self, found: torch.Tensor) -> torch.Tensor:
        if self._multiply != 1 or self._divide != 1:  # a pass over all logits each, where they change anything
            found = found * self._multiply / self._divide
        return torch.as_tensor(found if self._cap is None else self._cap * torch.tanh(found / self._cap))

    def _chunks(self, hidden: torch.Tensor, ids: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        flat, following = hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        size = max(1, CHUNK // self._head.weight.shape[0])
        for start in range(0, len(flat), size):
            rows = slice(start, start + size)
            yield rows, self.logits(flat[rows]), following[rows]

    def sums(
        self, hidden: torch.Tensor, ids: torch.Tensor, unpruned: torch.Tensor | None = None, *, wrong: bool = False
    ) -> dict[str, float]:
        """Return sums over all tokens that follow another: `loss` in nats, and what else is asked for.

        Args:
            hidden: After the last norm, shape (windows, tokens, width).
            ids: The tokens, shape (windows, tokens).
            unpruned: The unpruned model's hidden states, to sum `kl`, its divergence from the unpruned model's
                probabilities.
            wrong: Whether to count `error`, tokens that are not the most probable one.
        """
        sums = {"tokens": float(ids[:, 1:].numel()), "loss": 0.0, "kl": 0.0, "error": 0.0}
        if unpruned is None:
            return sums | self._streamed(hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), wrong=wrong)
        before = unpruned[:, :-1].flatten(0, 1)
        with torch.no_grad():
            for rows, logits, following in self._chunks(hidden, ids):
                total = torch.logsumexp(logits, dim=-1)
                sums["loss"] += float((total - logits.gather(1, following[:, None]).squeeze(1)).double().sum())
                if wrong:
                    sums["error"] += float((logits.argmax(dim=-1) != following).sum())
                taught = torch.log_softmax(self.logits(before[rows]), dim=-1)
                own = logits - total[:, None]
                sums["kl"] += float((taught.exp() * (taught - own)).sum(dim=-1).double().sum())
        return sums

    def _streamed(self, hidden: torch.Tensor, following: torch.Tensor, *, wrong: bool) -> dict[str, float]:
        """Return `loss` and `error`; the vocabulary passes by in blocks, and each weight is read from memory once."""
        loss, error = 0.0, 0.0
        with torch.no_grad():
            tokens = zip(torch.split(hidden, self._rows), torch.split(following, self._rows), strict=True)
            for states, own in tokens:
                total, target, missed = self._totals(states, own, wrong=wrong)
                loss += float((total - target).double().sum())
                error += float(missed.sum())
        return {"loss": loss, "error": error}

    def told(self, hidden: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return for every token that follows another whether it was the most probable one, and its loss in nats.

        Both of shape (tokens,), of hidden states after the last norm and tokens as `sums` takes them.
        """
        flat, following = hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        with torch.no_grad():
            total, target, missed = self._totals(flat, following, wrong=True)
        return ~missed, total - target

    def _totals(
        self, hidden: torch.Tensor, following: torch.Tensor, *, wrong: bool
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return for some tokens the logarithm of the summed exponentials, the next token's logit, and what is missed.

        Missed is every token whose next one is not the most probable, if `wrong` asks for it. Shapes (tokens,) each.
        """
        highest = hidden.new_full((len(hidden),), -torch.inf)
        summed, target = torch.zeros_like(highest), torch.zeros_like(highest)
        best = following
        for start, logits in self._blocks(hidden):
            within = (following >= start) & (following < start + logits.shape[1])
            target[within] = logits[within, following[within] - start]
            if wrong:
                top, place = logits.max(dim=1)
                best = torch.where(top > highest, place + start, best)
            else:
                top = logits.amax(dim=1)
            raised = torch.maximum(highest, top)
            summed = summed * torch.exp(highest - raised) + logits.sub_(raised[:, None]).exp_().sum(dim=1)
            highest = raised
        return highest + summed.log(), target, best != following

    def _blocks(self, hidden: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield the logits of a piece of the vocabulary at a time, each new and free to be changed."""
        weight, bias = self._head.weight, getattr(self._head, "bias", None)
        size = max(1, self._block // len(hidden))
        for start in range(0, len(weight), size):
            piece = slice(start, start + size)
            found = torch.nn.functional.linear(hidden, weight[piece], None if bias is None else bias[piece])
            yield start, self._scaled(found)

    def loss(self, hidden: torch.Tensor, ids: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """Return the summed loss in nats, with gradients; a chunk's logits are computed again on the way back.

        Logits are divided by `temperature` first.
        """
        from torch.utils.checkpoint import checkpoint

        flat, following = hidden[:, :-1].flatten(0, 1), ids[:, 1:].flatten()
        size = max(1, CHUNK // self._head.weight.shape[0])
        total = flat.new_zeros(())
        for start in range(0, len(flat), size):
            rows = slice(start, start + size)
            total = total + checkpoint(self._summed, flat[rows], following[rows], temperature, use_reentrant=False)
        return total

    def _summed(self, hidden: torch.Tensor, following: torch.Tensor, temperature: float) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.logits(hidden) / temperature, following, reduction="sum")

    def drawn(self, hidden: torch.Tensor, temperature: float, generator: torch.Generator) -> torch.Tensor:
        """Return tokens drawn from the model's own probabilities, shape (windows, tokens), the first ones unused."""
        following = []
        with torch.no_grad():
            for _, logits, _ in self._chunks(hidden, torch.zeros(hidden.shape[:2], dtype=torch.int64)):
                chances = torch.softmax(logits.float() / temperature, dim=-1)
                following.append(torch.multinomial(chances, 1, generator=generator).squeeze(1))
        own = torch.cat(following).view(hidden.shape[0], hidden.shape[1] - 1)
        return torch.cat([torch.zeros_like(own[:, :1]), own], dim=1)
