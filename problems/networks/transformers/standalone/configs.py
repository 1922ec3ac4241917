"""What a config says of a pruned model, and said of the unpruned one. Needs nothing but the config."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

_STARTS = ("max_window_layers", "first_k_dense_replace")  # settings that say from which layer on something is so
_WIDTHS = ("intermediate_size", "num_attention_heads", "num_key_value_heads")  # settings that may be lists by layer


def unpruned(config: Any) -> Any:
    """Return an exported config as the library's own, which says what the unpruned model's said of its layers.

    Some models make what is below their head by AutoModel, which would ask whether to run the folder's code.
    """
    whole = copy.deepcopy(config)
    whole.__class__ = next(kind for kind in type(whole).__mro__ if kind.__module__.startswith("transformers."))
    vars(whole).pop("auto_map", None)
    said = config.pruning["unpruned"]
    for name in sorted(
        said, key=lambda name: name.startswith("out_")
    ):  # what a backbone hands out must be one of its stages
        setattr(whole, name, said[name])
    return whole


def say_pruned(model: Any, config: Any) -> None:
    """Let a model's config be of the exported one's kind again, once the model is built."""
    model.config.__class__ = type(config)
    if hasattr(config, "auto_map"):
        model.config.auto_map = config.auto_map


def below(plan: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return a plan for what a model has below its head, to which its paths lead with this prefix."""
    found = {**plan, "blocks": plan["blocks"].removeprefix(prefix)}
    if "opened" in plan:
        stacks = [path.removeprefix(prefix) for path in plan["opened"]["stacks"]]
        found["opened"] = {**plan["opened"], "stacks": stacks}
    return found


def say_layers(config: Any, kept: Sequence[int]) -> None:
    """Say in a config that of its layers only those numbered `kept` are there."""
    before = getattr(config, "num_hidden_layers", None)
    if before is None or before <= max(kept):  # of another stack of the model
        return
    config.num_hidden_layers = len(kept)
    for name, value in list(vars(config).items()):
        if name in _STARTS and isinstance(value, int):
            setattr(config, name, sum(number < value for number in kept))
        elif isinstance(value, list | tuple) and ("layer" in name or name in _WIDTHS):
            setattr(config, name, _of_layers(list(value), kept, before))
    if "attention_types" in vars(config) and "attention_layers" in vars(config):  # the same, written shorter
        config.attention_types = [[list(config.attention_layers), 1]]
    if "_out_features" in vars(config) and len(config.stage_names) == before + 1:  # of a backbone: what it hands out
        config.stage_names = config.stage_names[: len(kept) + 1]
        config.set_output_features_output_indices(out_indices=None, out_features=None)


def _of_layers(values: list[Any], kept: Sequence[int], before: int) -> list[Any]:
    """Return of a list about layers what is about those that are kept: of one value each, or of their numbers."""
    numbers = all(type(each) is int and each < before for each in values) and values == sorted(set(values))
    if numbers and not (len(values) == before and set(values) <= {0, 1}):
        return [place for place, number in enumerate(kept) if number in values]
    return [values[number] for number in kept] if len(values) == before else values
