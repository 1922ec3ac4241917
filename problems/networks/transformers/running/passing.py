"""Standing in for a model's layers: to see what they are called with, and to go on from hidden states at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower

__all__ = ["Calls", "Rest", "calls_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """What a batch's layers are called with: the first hidden states, and by layer everything else.

    The arguments beside the hidden states (positions, masks) depend on the batch alone.
    """

    hidden: torch.Tensor
    arguments: tuple[tuple[tuple[Any, ...], Mapping[str, Any]], ...]

    def run(self, number: int, block: nn.Module, hidden: torch.Tensor) -> torch.Tensor:
        """Return what a layer, in the place of layer `number`, makes of hidden states."""
        positional, named = self.arguments[number]
        outputs = block(hidden, *positional, **named)
        found: torch.Tensor = outputs[0] if isinstance(outputs, tuple) else outputs
        return found


class _Stop(Exception):  # no error: it ends a call that has been seen
    pass


class _Standing(nn.Module):
    """Has a layer's plain attributes, which models look at, and answers in the form that the layer does."""

    def __init__(self, block: nn.Module, answers: int) -> None:
        super().__init__()
        for name, value in vars(block).items():
            if isinstance(value, int | float | str) and name != "training":
                setattr(self, name, value)
        self.answers = answers
        self.seen: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self.taken: torch.Tensor | None = None
        self.answer: torch.Tensor | None = None

    def forward(self, hidden_states: torch.Tensor, *positional: Any, **named: Any) -> Any:
        """Take note of the call; answer with what was set, or hand on what came in."""
        self.seen, self.taken = (positional, named), hidden_states
        answer = hidden_states if self.answer is None else self.answer
        return (answer, *[None] * (self.answers - 1)) if self.answers else answer


def answers_of(narrower: Narrower, inputs: Mapping[str, torch.Tensor]) -> int:
    """Return how many things the model's layers return in a tuple; 0 where they return hidden states alone."""
    found: list[int] = []

    def hook(_module: nn.Module, _arguments: tuple[Any, ...], outputs: Any) -> None:
        found.append(len(outputs) if isinstance(outputs, tuple) else 0)
        raise _Stop

    first = narrower.model.get_submodule(narrower.anatomy.path)[0]
    handle = first.register_forward_hook(hook)
    try:
        with torch.no_grad():
            narrower.model(**inputs)
    except _Stop:
        pass
    finally:
        handle.remove()
    return found[0]


def calls_of(narrower: Narrower, inputs: Mapping[str, torch.Tensor]) -> Calls:
    """Return what the layers are called with for a batch, without running any of them.

    Raises:
        ConfigError: The layers lie in several stacks.
    """
    narrower.anatomy.check_one_stack("running layer by layer")
    answers = answers_of(narrower, inputs)
    blocks = narrower.model.get_submodule(narrower.anatomy.path)
    standing = [_Standing(block, answers) for block in blocks]
    with torch.no_grad():
        narrower.with_blocks(standing)(**inputs)
    first = standing[0].taken
    assert first is not None  # noqa: S101  # the model has called its layers; narrows the type
    return Calls(first, tuple(each.seen for each in standing))


class Rest:
    """What a model makes of its last layer's hidden states: the final norm, and a head if it has one.

    Of a model in several stacks, which runs as a whole, it is given the outputs, and returns them.
    """

    def __init__(self, narrower: Narrower, inputs: Mapping[str, torch.Tensor]) -> None:
        self._whole = narrower.anatomy.several
        if self._whole:
            return
        block = narrower.model.get_submodule(narrower.anatomy.path)[-1]
        self._standing = _Standing(block, answers_of(narrower, inputs))
        self._model = narrower.with_blocks([self._standing])

    def __call__(self, hidden: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the first of the model's outputs: logits, or the last hidden states of one without a head."""
        outputs = self.whole(hidden, inputs)
        found: torch.Tensor = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
        return found

    def whole(self, hidden: torch.Tensor, inputs: Mapping[str, torch.Tensor]) -> Any:
        """Return all that the model puts out."""
        if self._whole:
            return hidden
        self._standing.answer = hidden
        try:
            return self._model(**inputs)
        finally:
            self._standing.answer = None
