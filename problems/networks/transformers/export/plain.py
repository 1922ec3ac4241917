"""A narrowed model as transformers' own class builds it, where a config of its own can say what the layers are."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from emoprune.problems.networks.transformers.anatomy.checking import first_output
from emoprune.problems.networks.transformers.anatomy.closing import closed_state
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, Attention
from emoprune.problems.networks.transformers.export.tensors import own_state
from emoprune.problems.networks.transformers.standalone.mixtures import Experts

__all__ = ["Plain", "plain_model"]

TOLERANCE = 1e-4  # of the largest output

_KEY_VALUES = ("num_key_value_heads", "num_kv_heads")
_NEURONS = (
    *("intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size", "ffn_dim", "n_inner"),
    *("hidden_dim", "d_ff", "ffn_hidden_size", "encoder_ffn_dim", "decoder_ffn_dim"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """The model as an object of its library's class; None if there is none, and why."""

    model: Any | None
    reason: str = ""


def plain_model(
    whole: Any, model: Any, anatomy: Anatomy, plan: Mapping[str, Any], inputs: Mapping[str, torch.Tensor]
) -> Plain:
    """Return the model as an object of the unpruned one's class with the same outputs, if a config says it.

    Args:
        whole: The unpruned model of transformers.
        model: The narrowed one, on the CPU.
        anatomy: Where the unpruned model's heads and neurons are.
        plan: How its layers are narrowed, as `Narrower.plan` says it.
        inputs: A small batch that both are tried on.
    """
    config = copy.deepcopy(model.config)
    if type(model) is not type(whole):
        return Plain(None, "The model has a classifier that was fitted here, which no class of transformers has")
    if not _says_widths(config, anatomy, plan):
        return Plain(None, "Layers are unequally wide, which no config of transformers' own can say")
    if hasattr(model, "generate"):
        config.use_cache = True  # while searching nothing is generated
    try:
        made = _built(type(whole), config, _closed(model, plan))
        with torch.no_grad():
            found, wanted = first_output(made(**inputs)), first_output(model(**inputs))
    except Exception as error:  # whatever a family raises: its config cannot say this shape, code can
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Plain(None, f"{type(whole).__name__} itself does not take these widths from its config ({said})")
    allowed = TOLERANCE * max(1.0, float(wanted.abs().max()))
    if found.shape != wanted.shape or not float((found - wanted).abs().max()) <= allowed:
        return Plain(None, f"{type(whole).__name__} itself puts out something else with these widths in its config")
    return Plain(made)


def _built(of: Any, config: Any, state: dict[str, torch.Tensor]) -> Any:
    """Return the model that the config says, as it will be read from a file."""
    made = of(type(config).from_dict(json.loads(config.to_json_string(use_diff=False))))
    left = made.load_state_dict(state, strict=False)
    tied = set(made.state_dict()) - set(own_state(made)[0])
    if left.unexpected_keys or set(left.missing_keys) - tied:
        raise ValueError(f"the weights are not those of {of.__name__}: {left}")
    return made.eval().requires_grad_(requires_grad=False)


def _closed(model: Any, plan: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return the model's tensors as transformers has them.

    Raises:
        ValueError: A mixture's experts are not of one width.
    """
    for module in model.modules():
        if isinstance(module, Experts) and len({each.down_proj.weight.shape for each in module.members}) > 1:  # type: ignore[union-attr]  # experts
            raise ValueError("the experts of a layer are unequally wide")
    return closed_state(model, plan.get("opened", {}), own_state(model)[0])


def _says_widths(config: Any, anatomy: Anatomy, plan: Mapping[str, Any]) -> bool:
    """Let the config say how many heads and neurons each layer has; whether that can be said at all."""
    heads: set[tuple[int, int, int]] = set()
    neurons: dict[int, set[int]] = {}
    narrowed = False
    for number, shape in zip(plan["kept"], plan["layers"], strict=True):
        block, widths = anatomy.blocks[number], shape["widths"]
        if shape["no_heads"] or shape["repeated"]:
            return False
        heads.add(_heads_of(block.attention, widths))
        narrowed |= bool({block.attention.query, block.attention.output} & set(widths))
        for own in block.feed_forwards:
            neurons.setdefault(own.neurons, set()).add(widths.get(own.output, [own.neurons])[0])
    return (not narrowed or _say_heads(config, heads)) and _say_neurons(config, neurons)


def _heads_of(attention: Attention, widths: Mapping[str, Sequence[int]]) -> tuple[int, int, int]:
    query = widths.get(attention.query, (0, attention.heads * attention.width))[1]
    key = widths.get(attention.key, (0, attention.key_value_heads * attention.width))[1]
    return query // attention.width, key // attention.width, attention.width


def _say_heads(config: Any, found: set[tuple[int, int, int]]) -> bool:
    if len(found) != 1:
        return False
    ((heads, key_value_heads, width),) = found
    config.num_attention_heads = heads
    for name in _KEY_VALUES:
        if name in vars(config):
            setattr(config, name, key_value_heads)
    config.head_dim = width
    return True


def _say_neurons(config: Any, found: Mapping[int, set[int]]) -> bool:
    changed = {before: after for before, after in found.items() if after != {before}}
    if any(len(after) > 1 or 0 in after for after in changed.values()):
        return False
    said = {name: vars(config)[name] for name in _NEURONS if name in vars(config)}
    for before, after in changed.items():
        # Some families leave it out where it follows from the hidden width.
        names = [name for name, value in said.items() if value == before] or [
            name for name, value in said.items() if value is None
        ]
        if not names:
            return False
        for name in names:
            setattr(config, name, min(after))
    return True
