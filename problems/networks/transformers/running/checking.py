"""Trying a model before it is searched: layer by layer it must put out what it does as a whole."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.checking import TOLERANCE, first_output
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.running.passing import Rest, calls_of

__all__ = ["check_layers"]


def check_layers(narrower: Narrower, inputs: Mapping[str, torch.Tensor]) -> None:
    """Refuse a model that does something between its layers, or whose layers depend on each other.

    Args:
        narrower: Of the unpruned model.
        inputs: A small batch.

    Raises:
        ConfigError: Its layers, run one after the other, do not put out what the model does.
    """
    model, path = narrower.model, narrower.anatomy.path
    if narrower.anatomy.several:  # it runs as a whole
        return
    try:
        calls = calls_of(narrower, inputs)
        hidden = calls.hidden
        with torch.no_grad():
            expected = first_output(model(**inputs))
            for number, block in enumerate(model.get_submodule(path)):
                hidden = calls.run(number, block, hidden)
            found = Rest(narrower, inputs)(hidden, inputs)
    except Exception as error:  # whatever a strange model raises, it cannot be run layer by layer
        raise ConfigError(_refusal(model, f"{type(error).__name__}: {error}")) from error
    allowed = TOLERANCE * max(1.0, float(expected.abs().max()))
    difference = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
    if not difference <= allowed:
        raise ConfigError(_refusal(model, f"outputs differ by {difference:.3g}, allowed {allowed:.3g}"))


def _refusal(model: object, reason: str) -> str:
    return (
        f"model: {type(model).__name__} cannot be run layer by layer ({' '.join(reason.split())[:200]}); it does "
        "something between its layers, or hands more from one to the next than hidden states"
    )
