"""Telling classes apart: sentences or images, by a model's own classifier or one that is fitted on its features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from emoprune.problems.networks.evaluation.measures import scores_of
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.data.batches import Batch, Parts
from emoprune.problems.networks.transformers.running.passing import Rest

__all__ = ["ClassTask"]


class ClassTask:
    """A classifier and labelled examples.

    Args:
        model: Returns logits, alone or first.
        parts: Batches by part.
        tokens: How many tokens or patches an example has.
        about: What an exported folder must say of it.
    """

    default_objective = "error"
    scored = ("error", "loss", "kl")

    def __init__(self, model: Any, parts: Parts, tokens: int, about: Mapping[str, Any]) -> None:
        self.model = model
        self.parts = parts
        self.tokens = tokens
        self.about = about

    def judge(self, narrower: Narrower, parts: Parts) -> _Judge:
        """Return what measures classifiers that are cut out by `narrower`."""
        return _Judge(narrower, parts)

    def run(self, model: Any, batch: Batch) -> None:
        """Run the model."""
        self.outputs(model, batch)

    def outputs(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the logits, shape (n, classes)."""
        found = model(**batch.inputs)
        return found if isinstance(found, torch.Tensor) else torch.as_tensor(found[0])

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the summed cross-entropy in nats."""
        return functional.cross_entropy(self.outputs(model, batch), batch.labels, reduction="sum")

    def own_loss(self, model: Any, batch: Batch, temperature: float, generator: torch.Generator) -> torch.Tensor:
        """Return the summed cross-entropy of labels drawn from the model's own probabilities."""
        outputs = self.outputs(model, batch)
        chances = torch.softmax(outputs.detach() / temperature, dim=1)
        drawn = torch.multinomial(chances, 1, generator=generator).squeeze(1)
        return functional.cross_entropy(outputs / temperature, drawn, reduction="sum")

    def divergence(self, model: Any, teacher: Any, batch: Batch, temperature: float) -> torch.Tensor:
        """Return the summed T² KL(teacher || model)."""
        with torch.no_grad():
            taught = functional.log_softmax(self.outputs(teacher, batch) / temperature, dim=1)
        own = functional.log_softmax(self.outputs(model, batch) / temperature, dim=1)
        return temperature**2 * functional.kl_div(own, taught, reduction="sum", log_target=True)

    def sized(self, batch: int, tokens: int) -> Mapping[str, torch.Tensor]:
        """Return inputs of a size, for timing; images are as large as they are."""
        first = next(iter(self.parts.values()))[0].inputs
        if "input_ids" in first:
            rows = torch.arange(batch * tokens).view(batch, tokens) % int(self.model.config.vocab_size)
            return {"input_ids": rows, "attention_mask": torch.ones_like(rows)}
        return {name: tensor[torch.arange(batch) % len(tensor)] for name, tensor in first.items()}

    def numbers(self, batch: Batch) -> int:
        """Return how many examples a batch has."""
        return len(batch.labels)


class _Judge:
    def __init__(self, narrower: Narrower, parts: Parts) -> None:
        self._rest = Rest(narrower, next(iter(parts.values()))[0].inputs)
        self._parts = parts
        self._unpruned: dict[str, torch.Tensor] = {}

    def finished(self, hidden: Sequence[torch.Tensor], part: str) -> list[torch.Tensor]:
        with torch.no_grad():
            return [self._rest(own, batch.inputs) for own, batch in zip(hidden, self._parts[part], strict=True)]

    def remember(self, unpruned: Sequence[torch.Tensor], part: str) -> None:
        self._unpruned[part] = torch.cat(list(unpruned))

    def scores(self, hidden: Sequence[torch.Tensor], part: str, names: frozenset[str]) -> dict[str, float]:
        outputs = torch.cat(self.finished(hidden, part))
        if not torch.isfinite(outputs).all():
            return dict.fromkeys(names, math.nan)
        labels = torch.cat([batch.labels for batch in self._parts[part]])
        return scores_of(outputs, labels, self._unpruned.get(part), names)
