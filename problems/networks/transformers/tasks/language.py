"""Telling the next token: perplexity on windows of a text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import torch
from torch.nn import functional

from emoprune.errors import ConfigError
from emoprune.problems.language.guessing import Tried
from emoprune.problems.language.loading import LoadedModel
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.data.batches import Batch, Parts
from emoprune.problems.networks.transformers.running.passing import Rest
from emoprune.problems.networks.transformers.running.vocabulary import NextTokens

__all__ = ["LanguageTask"]

TRIED = 2  # windows on which the chunked logits are held against the model's own


class LanguageTask:
    """A causal language model and windows of text.

    Args:
        loaded: The model, its mixtures unfused.
        parts: Windows by part.
        length: Tokens in a window.
    """

    default_objective = "perplexity"
    scored = ("perplexity", "loss", "error", "kl")

    def __init__(self, loaded: LoadedModel, parts: Parts, length: int) -> None:
        self.model = loaded.model
        self.model.config.use_cache = False  # keys and values of former tokens, which nothing here generates from
        self.parts = parts
        self.tokens = length
        self.about: Mapping[str, Any] = {"task": "language-modelling", "factory": "AutoModelForCausalLM"}

    def judge(self, narrower: Narrower, parts: Parts) -> _Judge:
        """Return what measures language models that are cut out by `narrower`."""
        return _Judge(narrower, parts)

    def _next(self, model: Any, batch: Batch) -> tuple[NextTokens, torch.Tensor]:
        """Return a model's output layer and the hidden states that go into it."""
        return NextTokens(model), _decoder(model)(**batch.inputs)[0]

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the summed loss of all tokens that follow another, in nats."""
        head, hidden = self._next(model, batch)
        return head.loss(hidden, batch.inputs["input_ids"])

    def own_loss(self, model: Any, batch: Batch, temperature: float, generator: torch.Generator) -> torch.Tensor:
        """Return the summed loss on tokens drawn from the model's own probabilities."""
        head, hidden = self._next(model, batch)
        return head.loss(hidden, head.drawn(hidden.detach(), temperature, generator), temperature)

    def divergence(self, model: Any, teacher: Any, batch: Batch, temperature: float) -> torch.Tensor:
        """Return the summed T² KL(teacher || model) over all tokens but the last of each window."""
        with torch.no_grad():
            taught = functional.log_softmax(self.outputs(teacher, batch)[:, :-1] / temperature, dim=-1)
        own = functional.log_softmax(self.outputs(model, batch)[:, :-1] / temperature, dim=-1)
        return temperature**2 * functional.kl_div(own, taught, reduction="sum", log_target=True)

    def run(self, model: Any, batch: Batch) -> None:
        """Run the layers alone, without the output layer over the vocabulary."""
        _decoder(model)(**batch.inputs)

    def outputs(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the logits of every token."""
        logits: torch.Tensor = model(**batch.inputs).logits
        return logits

    def tried(self, batches: Sequence[Batch]) -> Tried:
        """Return what the unpruned model takes for the next tokens; one that it does not is -1."""
        pieces = []
        for batch in batches:
            with torch.no_grad():
                head, hidden = self._next(self.model, batch)
            right, losses = head.told(hidden, batch.inputs["input_ids"])
            gold = batch.inputs["input_ids"][:, 1:].flatten()
            pieces.append(Tried(gold.where(right, -1).numpy(), losses.double().numpy(), gold.numpy()))
        return reduce(Tried.joined, pieces)

    def sized(self, batch: int, tokens: int) -> Mapping[str, torch.Tensor]:
        """Return token ids of a size, for timing."""
        rows = torch.arange(batch * tokens).view(batch, tokens) % int(self.model.config.vocab_size)
        return {"input_ids": rows}

    def numbers(self, batch: Batch) -> int:
        """Return how many tokens of a batch follow another."""
        return batch.inputs["input_ids"][:, 1:].numel()


class _Judge:
    def __init__(self, narrower: Narrower, parts: Parts) -> None:
        first = next(iter(parts.values()))[0].inputs
        decoder = _decoder(narrower.model)
        inner = Narrower(decoder, _within(narrower, decoder))
        self._rest = Rest(inner, first)
        self._parts = parts
        few = first["input_ids"][:TRIED]
        with torch.no_grad():
            hidden = decoder(input_ids=few)[0]
        self._next = NextTokens(narrower.model)
        self._next.check(narrower.model, hidden, few)
        self._unpruned: dict[str, list[torch.Tensor]] = {}

    def finished(self, hidden: Sequence[torch.Tensor], part: str) -> list[torch.Tensor]:
        with torch.no_grad():
            return [self._rest(own, batch.inputs) for own, batch in zip(hidden, self._parts[part], strict=True)]

    def remember(self, unpruned: Sequence[torch.Tensor], part: str) -> None:
        self._unpruned[part] = list(unpruned)

    def scores(self, hidden: Sequence[torch.Tensor], part: str, names: frozenset[str]) -> dict[str, float]:
        unpruned = self._unpruned.get(part) if "kl" in names else None
        totals = {"tokens": 0.0, "loss": 0.0, "kl": 0.0, "error": 0.0}
        for number, (own, batch) in enumerate(zip(self.finished(hidden, part), self._parts[part], strict=True)):
            if not torch.isfinite(own).all():
                return dict.fromkeys(names, math.nan)
            before = None if unpruned is None else unpruned[number]
            found = self._next.sums(own, batch.inputs["input_ids"], before, wrong="error" in names)
            totals = {name: total + found[name] for name, total in totals.items()}
        means = {name: totals[name] / totals["tokens"] for name in ("loss", "kl", "error")}
        means["kl"] = max(0.0, means["kl"])
        means["perplexity"] = math.exp(min(means["loss"], 80.0))
        return {name: value for name, value in means.items() if name in names}


def _decoder(model: Any) -> Any:
    """Return the part of a language model below its output layer."""
    found = getattr(model, str(model.base_model_prefix), None) or getattr(model, "model", None)
    if found is None:
        raise ConfigError(
            f"model: {type(model).__name__} has no part called {model.base_model_prefix} below its output layer, where "
            "its library says that it has one"
        )
    return found


def _within(narrower: Narrower, decoder: Any) -> Any:
    """Return the anatomy with its path from the decoder on."""
    model, path = narrower.model, narrower.anatomy.path
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    return replace(narrower.anatomy, path=path.removeprefix(f"{prefix}."))
