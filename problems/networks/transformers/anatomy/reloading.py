"""Trying a model before it is searched: what would be exported must be what its library makes of its config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.checking import uneven_plans
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy
from emoprune.problems.networks.transformers.standalone.narrowing import narrow
from emoprune.problems.networks.transformers.standalone.opening import open_layers
from emoprune.problems.networks.transformers.standalone.pooling import PooledClassifier

__all__ = ["check_reloading", "made_anew"]


def made_anew(config: Any, about: Mapping[str, Any]) -> Any:
    """Return the model that a task's folders say how to build, its weights drawn."""
    import transformers

    model = getattr(transformers, about["factory"]).from_config(config)
    return PooledClassifier(model, about["classifier"]) if about["factory"] == "AutoModel" else model


def check_reloading(model: Any, anatomy: Anatomy, made_anew: Callable[[], Any]) -> None:
    """Refuse a model that an export could not be loaded into.

    Args:
        model: The unpruned one.
        anatomy: Where its heads and neurons are.
        made_anew: Makes the model from its config as `load.py` does, here without weights.

    Raises:
        ConfigError: It says which weights would be too many, missing, or of other shapes.
    """
    narrower, plans = Narrower(model, anatomy), uneven_plans(anatomy)
    plan = narrower.plan(plans)
    try:
        with torch.device("meta"):
            made = narrow(open_layers(made_anew(), plan.get("opened", {})), plan)
    except Exception as error:  # whatever a strange model raises, it cannot be loaded again
        raise ConfigError(_refusal(model, f"{type(error).__name__}: {error}")) from error
    wanted = {name: tuple(own.shape) for name, own in narrower.narrowed(plans).state_dict().items()}
    found = {name: tuple(own.shape) for name, own in made.state_dict().items()}
    other = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if other:
        first = other[0]
        reason = f"{len(other)} weights, {first} first: {wanted.get(first)} here, {found.get(first)} when loaded again"
        raise ConfigError(_refusal(model, reason))


def _refusal(model: object, reason: str) -> str:
    return (
        f"model: {type(model).__name__} could not be loaded again after an export ({' '.join(reason.split())[:200]}); "
        "it changes its layers while it runs, or its config does not say what they are"
    )
