"""The weights of an opened model as its library has them: fused, transposed, and under their own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from emoprune.problems.networks.transformers.standalone.mixtures import Experts
from emoprune.problems.networks.transformers.standalone.opening import Fused

__all__ = ["closed_state"]


def closed_state(model: Any, opened: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors by the names and in the shapes that the model's library gives them.

    Args:
        model: Narrowed or not, its projections open and its mixtures unfused, their experts of one width.
        opened: How they were opened, as an anatomy says it; nothing where they were not.
        state: Its tensors by name.
    """
    found = dict(state)
    for path, module in model.named_modules():
        if isinstance(module, Experts):
            found = {name: own for name, own in found.items() if not name.startswith(f"{path}.members.")}
            joined = _clamped if opened.get("clamped", False) else _mixture
            found |= {f"{path}.{name}": own for name, own in joined(list(module.members)).items()}
    if not opened:
        return found
    for stack in opened["stacks"]:
        for number, layer in enumerate(model.get_submodule(stack)):
            _close(found, f"{stack}.{number}.", layer, opened)
            if opened["table"] and number:
                found.pop(f"{stack}.{number}.{'.'.join(opened['table'])}.weight", None)
    return found


def _close(found: dict[str, torch.Tensor], where: str, layer: Any, opened: Mapping[str, Any]) -> None:
    """Put the weights of one layer's opened projections back into one."""
    for path, facts in opened["fused"].items():
        if _there(layer, path):
            whole = layer.get_submodule(path)
            for kind in ("weight", "bias"):
                names = [f"{where}{path}.{name}.{kind}" for name in whole.parts]
                if names[0] in found:
                    parts = [found.pop(name) for name in names]
                    groups = len(parts[-1]) // facts["width"] if facts["width"] else facts["shards"]
                    found[f"{where}{path}.{kind}"] = _joined(parts, groups)
    for path in (*opened["transposed"], *(path for path, facts in opened["fused"].items() if facts["transposed"])):
        name = f"{where}{path}.weight"
        if name in found:
            found[name] = found[name].T.contiguous()


def _mixture(experts: list[Any]) -> dict[str, torch.Tensor]:
    """Return the weights of all experts in one, as their library has them."""
    gates = [torch.cat([each.gate_proj.weight, each.up_proj.weight]) for each in experts]
    return {
        "gate_up_proj": torch.stack(gates),
        "down_proj": torch.stack([each.down_proj.weight for each in experts]),
    }


def _clamped(experts: list[Any]) -> dict[str, torch.Tensor]:
    """Return the same of clamped experts, whose weights their library keeps transposed, gates and values in turns."""
    return {
        "gate_up_proj": torch.stack([_in_turns(each.gate_proj.weight, each.up_proj.weight).T for each in experts]),
        "gate_up_proj_bias": torch.stack([_in_turns(each.gate_proj.bias, each.up_proj.bias) for each in experts]),
        "down_proj": torch.stack([each.down_proj.weight.T for each in experts]),
        "down_proj_bias": torch.stack([each.down_proj.bias for each in experts]),
    }


def _in_turns(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return torch.stack([first, second], dim=1).flatten(0, 1)


def _there(layer: Any, path: str) -> bool:
    try:
        return isinstance(layer.get_submodule(path), Fused)
    except AttributeError:  # of an attention without heads nothing is left
        return False


def _joined(parts: list[Any], groups: int) -> torch.Tensor:
    """Return the rows of one layer from those of its parts, of which an equal share lies in each of the groups."""
    return torch.cat([own.unflatten(0, (groups, -1)) for own in parts], dim=1).flatten(0, 1)
