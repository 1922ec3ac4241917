"""What a task promises: a model, its parts of the data, and how well a model does on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from emoprune.problems.language.guessing import Tried
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.data.batches import Batch, Parts

__all__ = ["Judge", "Task"]


class Judge(Protocol):
    """Measures models from the hidden states of their last layers; made once per worker."""

    def scores(self, hidden: Sequence[torch.Tensor], part: str, names: frozenset[str]) -> dict[str, float]:
        """Return the measures among `names` that the last layer's hidden states give, on a part of the data."""
        ...

    def finished(self, hidden: Sequence[torch.Tensor], part: str) -> list[torch.Tensor]:
        """Return what the model makes of the last layer's hidden states: those after its last norm, or logits."""
        ...

    def remember(self, unpruned: Sequence[torch.Tensor], part: str) -> None:
        """Take note of what `finished` returned for the unpruned model, which `kl` is held against."""
        ...


class Task(Protocol):
    """A model for one purpose, and its data."""

    @property
    def model(self) -> Any:
        """The unpruned model in eval mode: a Hugging Face model, or an encoder with a head on it."""
        ...

    @property
    def parts(self) -> Parts:
        """The batches of each part."""
        ...

    @property
    def tokens(self) -> int:
        """How many tokens or patches one example has, for counting what it costs."""
        ...

    @property
    def default_objective(self) -> str:
        """What the task is measured by unless something else is asked for."""
        ...

    @property
    def scored(self) -> tuple[str, ...]:
        """Everything that it can be measured by."""
        ...

    def judge(self, narrower: Narrower, parts: Parts) -> Judge:
        """Return what measures models that are cut out by `narrower`, on batches on its device."""
        ...

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the summed loss of a batch in nats, with gradients."""
        ...

    def own_loss(self, model: Any, batch: Batch, temperature: float, generator: torch.Generator) -> torch.Tensor:
        """Return the loss on labels drawn from the model's own probabilities, softened by `temperature`."""
        ...

    def divergence(self, model: Any, teacher: Any, batch: Batch, temperature: float) -> torch.Tensor:
        """Return the summed T² KL(teacher || model), both softened by the temperature T, with gradients."""
        ...

    def run(self, model: Any, batch: Batch) -> None:
        """Run a model's layers on a batch, for those who watch them."""
        ...

    def outputs(self, model: Any, batch: Batch) -> torch.Tensor:
        """Return the logits, shape (n, classes) or (windows, tokens, vocabulary)."""
        ...

    def tried(self, batches: Sequence[Batch]) -> Tried:
        """Return what the unpruned model answers, for finding out whether it knows more than one that guesses."""
        ...

    def sized(self, batch: int, tokens: int) -> Mapping[str, torch.Tensor]:
        """Return inputs of a size, for timing."""
        ...

    @property
    def about(self) -> Mapping[str, Any]:
        """What an exported folder must say of it: how the model is built, and how its inputs are prepared."""
        ...

    def numbers(self, batch: Batch) -> int:
        """Return over how many examples, or tokens that follow another, a batch's loss is summed."""
        ...
