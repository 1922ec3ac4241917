"""Trying a model before it is searched: narrowed, it must put out what the masked one does, for every kind of layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.masking import masked
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan

__all__ = ["TOLERANCE", "check_narrowing", "first_output", "uneven_plans"]

TOLERANCE = 1e-4  # of the largest output; other shapes sum in another order, layer after layer
_TRIALS = (
    *("uneven heads and neurons", "one head and one neuron", "no heads", "no neurons"),
    *("the last layer dropped", "the first layer dropped"),
)


def check_narrowing(model: Any, anatomy: Anatomy, inputs: Mapping[str, torch.Tensor]) -> None:
    """Refuse a model whose narrowed layers do not put out what masked ones do.

    Args:
        model: In eval mode.
        anatomy: Where its heads and neurons are.
        inputs: A small batch.

    Raises:
        ConfigError: It says which trial failed, and how.
    """
    _check_layers_stay(model, anatomy, inputs)
    narrower = Narrower(model, anatomy)
    for number, trial in enumerate(_TRIALS):
        plans = _plans(anatomy, number)
        try:
            with torch.no_grad(), masked(model, anatomy, plans):
                expected = first_output(model(**inputs))
            with torch.no_grad():
                found = first_output(narrower.narrowed(plans)(**inputs))
        except Exception as error:  # whatever a strange model raises, it cannot be narrowed
            raise ConfigError(_refusal(model, trial, f"{type(error).__name__}: {error}")) from error
        allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
        difference = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
        if not difference <= allowed:
            raise ConfigError(_refusal(model, trial, f"outputs differ by {difference:.3g}, allowed {allowed:.3g}"))


def _check_layers_stay(model: Any, anatomy: Anatomy, inputs: Mapping[str, torch.Tensor]) -> None:
    """Refuse a model that puts other modules into its layers while it runs: they would not be the narrowed ones."""
    blocks = model.get_submodule(anatomy.path)
    before = [id(module) for module in blocks.modules()]
    try:
        with torch.no_grad():
            model(**inputs)
    except Exception as error:  # whatever a strange model raises, it cannot be run
        raise ConfigError(
            f"model: {type(model).__name__} does not run on examples of this task ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]})"
        ) from error
    if before != [id(module) for module in blocks.modules()]:
        raise ConfigError(
            f"model: {type(model).__name__} puts other modules into its layers while it runs, so that what is pruned "
            "is not what runs; save it with the kind of attention that it runs with on inputs of this length"
        )


def first_output(outputs: Any) -> torch.Tensor:
    """Return a model's logits, or the hidden states of one without a head."""
    if isinstance(outputs, torch.Tensor):
        return outputs
    found: torch.Tensor = outputs[0]
    return found


def _refusal(model: Any, trial: str, reason: str) -> str:
    return (
        f"model: {type(model).__name__} cannot be narrowed exactly ({trial}: {' '.join(reason.split())[:200]}); its "
        "attention or feed-forward network is of an unknown kind, such as one with a position bias per head"
    )


def uneven_plans(anatomy: Anatomy) -> Sequence[BlockPlan]:
    """Return plans that keep other heads and neurons in every layer."""
    return _plans(anatomy, 0)


def _plans(anatomy: Anatomy, trial: int) -> Sequence[BlockPlan]:
    plans = []
    for number, block in enumerate(anatomy.blocks):
        heads, neurons = np.arange(block.attention.heads), np.arange(block.neurons)
        uneven = (heads[heads % 3 != 1], neurons[neurons % 3 != number % 3])
        chosen = [uneven, (heads[-1:], neurons[:1]), (heads[:0], neurons), (heads, neurons[:0]), uneven, uneven][trial]
        last = len(anatomy.blocks) - 1
        dropped = last > 0 and number == {"the last layer dropped": last, "the first layer dropped": 0}.get(
            _TRIALS[trial]
        )
        plans.append(BlockPlan(trial, not dropped, *chosen))
    return plans
