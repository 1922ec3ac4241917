"""From an architecture's description to a model whose projections are open, and to what is known of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.description import ARCHITECTURES, AttentionForm, LayerForm
from emoprune.problems.networks.transformers.standalone.opening import Fused, as_linear, open_layers

__all__ = ["LISTED", "PROBLEM", "described", "has_attention", "module_at", "opened_in_place"]

LISTED = "layers_of_all_stacks"  # where a model in several stacks has all its layers
PROBLEM = "heads-and-neurons"  # the problem that asks for architectures, on behalf of all of transformers


def described(config: Any) -> LayerForm:
    """Return what the installed architecture of this `model_type` says of the layers; nothing if there is none.

    Raises:
        ConfigError: The architecture refuses the model.
    """
    name = str(getattr(config, "model_type", ""))
    if name not in plugins.available(ARCHITECTURES):
        return LayerForm()
    found: LayerForm = plugins.method(ARCHITECTURES, name, PROBLEM).layer(config)
    return found


def module_at(block: nn.Module, path: str) -> nn.Module | None:
    """Return a module within a layer; None if there is none at this path."""
    try:
        return block.get_submodule(path)
    except AttributeError:
        return None


def has_attention(block: nn.Module, form: AttentionForm) -> bool:
    """Whether a layer has the attention that its architecture describes."""
    projection = form.fused or form.query
    return all(_is_projection(module_at(block, path)) for path in (projection, form.output))


def _is_projection(module: nn.Module | None) -> bool:
    return isinstance(module, nn.Linear | Fused) or type(module).__name__ == "Conv1D"


def opened_in_place(model: Any, stacks: Sequence[str], form: LayerForm) -> Mapping[str, Any]:
    """Open the fused and transposed projections of a model; return as plain data how that is done again.

    Args:
        model: Changed in place; one that is open already stays as it is.
        stacks: The paths of the lists of its layers.
        form: What is known of them.

    Raises:
        ConfigError: The layers are not as they are described, or not all alike.
    """
    facts = [
        _facts(f"{path}.{number}", block, form)
        for path in stacks
        for number, block in enumerate(model.get_submodule(path))
    ]
    if any(each != facts[0] for each in facts):
        raise ConfigError(f"model: the layers of {type(model).__name__} are not all of one kind; expected fused layers")
    attention, name = form.attention, form.traits.table
    table = None if name is None or attention is None else [attention.path, name]
    opened = {"stacks": list(stacks), "listed": LISTED, **facts[0], "times": form.times, "table": table}
    opened["clamped"] = form.clamped
    if len(stacks) == 1 and form.times == 1 and not any((*facts[0].values(), table, form.clamped)):
        return {}
    open_layers(model, opened)
    return opened


def _facts(where: str, block: nn.Module, form: LayerForm) -> dict[str, Any]:
    """Return which projections of one layer are transposed, and what the parts of fused ones put out."""
    fused: dict[str, Any] = {}
    paths: list[str] = []
    if form.attention is not None:
        paths += [
            form.attention.output,
            *filter(None, (form.attention.query, form.attention.key, form.attention.value)),
        ]
        if form.attention.fused:
            fused[form.attention.fused] = _fused_attention(where, block, form.attention)
    for own in form.feed_forwards:
        paths += [own.output, *own.inputs]
        if own.fused:
            channels = _outputs(where, block, own.fused) // len(own.parts)
            fused[own.fused] = {"parts": dict.fromkeys(own.parts, channels), "width": 0, "shards": 1}
    facts = {path: {**own, "transposed": _transposed(where, block, path)} for path, own in fused.items()}
    return {"fused": facts, "transposed": sorted({path for path in paths if _transposed(where, block, path)})}


def _transposed(where: str, block: nn.Module, path: str) -> bool:
    module = _found(where, block, path)
    return type(module).__name__ == "Conv1D" or bool(vars(module).get("transposed", False))


def _fused_attention(where: str, block: nn.Module, form: AttentionForm) -> dict[str, Any]:
    """Return how many channels of a fused projection are queries, keys and values."""
    channels, queries = _outputs(where, block, form.fused), _inputs(where, block, form.output)
    keys = (channels - queries) // 2
    parts = {part: queries if part == "query" else keys for part in form.parts}
    width = _width(where, block, form, queries) if form.grouped else 0
    return {"parts": parts, "width": width, "shards": form.shards, "settings": dict(form.settings)}


def _width(where: str, block: nn.Module, form: AttentionForm, queries: int) -> int:
    module = _found(where, block, form.path)
    known = [getattr(module, name, None) for name in ("head_dim", "head_size", "attention_head_size")]
    width = next((own for own in known if isinstance(own, int)), 0)
    if not width or queries % width:
        raise ConfigError(f"model: layer {where}: expected the width of a head in {form.path}, found {width or 'none'}")
    return width


def _outputs(where: str, block: nn.Module, path: str) -> int:
    module: Any = _found(where, block, path)
    if isinstance(module, Fused):
        return sum(module.get_submodule(name).out_features for name in module.parts)  # type: ignore[misc]  # linear layers'
    return int(as_linear(module).out_features)


def _inputs(where: str, block: nn.Module, path: str) -> int:
    return int(as_linear(_found(where, block, path)).in_features)


def _found(where: str, block: nn.Module, path: str) -> nn.Module:
    module = module_at(block, path)
    if module is None:
        raise ConfigError(
            f"model: layer {where} ({type(block).__name__}) has no {path}, where its architecture has one"
        )
    return module
