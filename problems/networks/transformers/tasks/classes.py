"""Telling classes apart: sentences or images, by a model's own classifier or one that is fitted on its features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from emoprune.problems.language.guessing import Tried
from emoprune.problems.networks.evaluation.measures import scores_of
from emoprune.problems.networks.transformers.anatomy.checking import first_output
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.data.batches import Batch, Parts
from emoprune.problems.networks.transformers.running.passing import Rest

__all__ = ["ClassTask"]

HIGHEST = 80.0  # nats of a loss whose exponential is still a number


class ClassTask:
    """A classifier and labelled examples.

    Args:
        model: Returns logits, alone or first.
        parts: Batches by part.
        tokens: How many tokens or patches an example has.
        about: What an exported folder must say of it.
    """

    default_objective = "error"
    scored: tuple[str, ...] = ("error", "loss", "kl")

    def __init__(self, model: Any, parts: Parts, tokens: int, about: Mapping[str, Any]) -> None:
        self.model = model
        self.parts = parts
        self.tokens = tokens
        self.about = about

    def judge(self, narrower: Narrower, parts: Parts) -> _Judge:
        """Return what measures classifiers that are cut out by `narrower`."""
        return _Judge(narrower, parts, self)

    def run(self, model: Any, batch: Batch) -> None:
        """Run the model."""
        self.outputs(model, batch)

    def outputs(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the logits, shape (n, classes)."""
        return first_output(model(**batch.inputs))

    def read(self, outputs: Any) -> torch.Tensor:
        """Return what is judged of all that a model puts out."""
        return first_output(outputs)

    def examples(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is told apart in a batch: logits of shape (m, classes), and what is right, shape (m,)."""
        return outputs, batch.labels

    def _logits(self, model: Any, batch: Batch) -> torch.Tensor:
        return self.examples(self.read(model(**batch.inputs)), batch)[0]

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the summed cross-entropy in nats."""
        logits, gold = self.examples(self.read(model(**batch.inputs)), batch)
        return functional.cross_entropy(logits, gold, reduction="sum")

    def own_loss(self, model: Any, batch: Batch, temperature: float, generator: torch.Generator) -> torch.Tensor:
        """Return the summed cross-entropy of labels drawn from the model's own probabilities."""
        outputs = self._logits(model, batch)
        chances = torch.softmax(outputs.detach() / temperature, dim=1)
        drawn = torch.multinomial(chances, 1, generator=generator).squeeze(1)
        return functional.cross_entropy(outputs / temperature, drawn, reduction="sum")

    def divergence(self, model: Any, teacher: Any, batch: Batch, temperature: float) -> torch.Tensor:
        """Return the summed T² KL(teacher || model)."""
        with torch.no_grad():
            taught = functional.log_softmax(self._logits(teacher, batch) / temperature, dim=1)
        own = functional.log_softmax(self._logits(model, batch) / temperature, dim=1)
        return temperature**2 * functional.kl_div(own, taught, reduction="sum", log_target=True)

    def tried(self, batches: Sequence[Batch]) -> Tried:
        """Return which classes the unpruned model answers."""
        with torch.no_grad():
            told = [self.examples(self.read(self.model(**batch.inputs)), batch) for batch in batches]
        logits, gold = torch.cat([own for own, _ in told]).double(), torch.cat([own for _, own in told])
        losses = functional.cross_entropy(logits, gold, reduction="none")
        return Tried(logits.argmax(dim=1).numpy(), losses.numpy(), gold.numpy())

    def sized(self, batch: int, tokens: int) -> Mapping[str, torch.Tensor]:
        """Return inputs of a size, for timing; images are as large as they are."""
        first = next(iter(self.parts.values()))[0].inputs
        if "input_ids" in first:
            rows = torch.arange(batch * tokens).view(batch, tokens) % int(self.model.config.vocab_size)
            end = getattr(self.model.config, "eos_token_id", None)
            if self.model.config.is_encoder_decoder and isinstance(end, int):  # which looks at where a sentence ends
                rows = rows.where(rows != end, end + 1)
                rows[:, -1] = end
            return {"input_ids": rows, "attention_mask": torch.ones_like(rows)}
        return {name: tensor[torch.arange(batch) % len(tensor)] for name, tensor in first.items()}

    def numbers(self, batch: Batch) -> int:
        """Return how many examples a batch has."""
        return len(batch.labels)


class _Judge:
    def __init__(self, narrower: Narrower, parts: Parts, task: ClassTask) -> None:
        self._rest = Rest(narrower, next(iter(parts.values()))[0].inputs)
        self._parts = parts
        self._task = task
        self._unpruned: dict[str, torch.Tensor] = {}

    def finished(self, hidden: Sequence[torch.Tensor], part: str) -> list[torch.Tensor]:
        with torch.no_grad():
            pairs = zip(hidden, self._parts[part], strict=True)
            return [self._task.read(self._rest.whole(own, batch.inputs)) for own, batch in pairs]

    def remember(self, unpruned: Sequence[torch.Tensor], part: str) -> None:
        self._unpruned[part], _ = self._told(unpruned, part)

    def _told(self, outputs: Sequence[torch.Tensor], part: str) -> tuple[torch.Tensor, torch.Tensor]:
        told = [self._task.examples(own, batch) for own, batch in zip(outputs, self._parts[part], strict=True)]
        return torch.cat([own for own, _ in told]), torch.cat([own for _, own in told])

    def scores(self, hidden: Sequence[torch.Tensor], part: str, names: frozenset[str]) -> dict[str, float]:
        outputs, labels = self._told(self.finished(hidden, part), part)
        if not torch.isfinite(outputs).all():
            return dict.fromkeys(names, math.nan)
        found = scores_of(outputs, labels, self._unpruned.get(part), names | {"loss"})
        found["perplexity"] = math.exp(min(found["loss"], HIGHEST))
        return {name: value for name, value in found.items() if name in names}
