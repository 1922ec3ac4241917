"""Narrow a Hugging Face model by a plan: fewer heads, neurons and layers. Needs torch alone."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

Plan = Mapping[str, Any]
Tensors = Mapping[str, torch.Tensor]

_INDICES = ("layer_idx", "layer_id", "layer_index", "layer_number")  # what layers call their own number
_STARTS = ("max_window_layers", "first_k_dense_replace")  # settings that say from which layer on something is so
_WIDTHS = ("intermediate_size", "num_attention_heads", "num_key_value_heads")  # settings that may be lists by layer


class Repeated(nn.Linear):
    """Keys or values of which each query head takes its own: output head i is head `owners[i]` of the weight."""

    owners: list[int]
    width: int

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return one key or value per query head."""
        flat = functional.linear(hidden_states, self.weight, self.bias)
        heads = flat.view(*flat.shape[:-1], -1, self.width)[..., self.owners, :]
        return heads.flatten(-2)


class NoHeads(nn.Module):
    """What is left of an attention without heads: the bias of its output projection, and its place in a cache.

    Some attentions add an argument, the one behind the hidden states, to what they put out; some put a norm on the sum
    of what goes in and comes out; most return two things.
    """

    def __init__(
        self,
        name: str | None,
        output: nn.Module | None,
        layer_idx: int | None,
        *,
        adds: str | None = None,
        norm: tuple[str, nn.Module] | None = None,
        answers: int = 2,
    ) -> None:
        super().__init__()
        self.name = name
        self.layer_idx = layer_idx
        self.adds = adds
        self.norm = None if norm is None else norm[0]
        self.answers = answers
        for own, module in ((name, output), norm or (None, None)):
            if own is not None:
                self.add_module(own, module)

    def forward(self, hidden_states: torch.Tensor, *others: Any, **named: Any) -> tuple[torch.Tensor | None, ...]:
        """Return what the output projection makes of nothing, or nothing where it comes later."""
        if self.layer_idx is not None:
            self._counted_in(hidden_states, [*others, *named.values()])
        nothing = hidden_states[..., :0]
        found = nothing if self.name is None else self.get_submodule(self.name)(nothing)
        if self.adds is not None:
            found = found + (named[self.adds] if self.adds in named else others[0])
        if self.norm is not None:
            found = self.get_submodule(self.norm)(hidden_states + found)
        return (found, *[None] * (self.answers - 1))

    def _counted_in(self, hidden_states: torch.Tensor, given: Sequence[Any]) -> None:
        """Put a number for each token into the cache: models ask one layer's cache how many tokens came before."""
        cache = next((each for each in given if hasattr(each, "update") and hasattr(each, "get_seq_length")), None)
        cache = getattr(cache, "self_attention_cache", cache)
        if cache is not None:
            number = hidden_states[:, None, :, :1]
            cache.update(number, number[..., :0], self.layer_idx)


class ChosenHeads:
    """A hook on a norm over all heads: of what it puts out it hands on these heads alone."""

    def __init__(self, heads: Sequence[int], width: int) -> None:
        self.heads = list(heads)
        self.width = width

    def __call__(self, _module: nn.Module, _arguments: Any, outputs: torch.Tensor) -> torch.Tensor:
        """Return the chosen heads' channels."""
        return outputs.view(*outputs.shape[:-1], -1, self.width)[..., self.heads, :].flatten(-2)


class OwnHeads:
    """A hook on an attention: of arguments that have an axis of heads it takes what belongs to those that are left."""

    def __init__(self, axes: Mapping[str, int], heads: Sequence[int], before: int) -> None:
        self.axes = dict(axes)
        self.heads = list(heads)
        self.before = before

    def __call__(self, module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return the arguments, those of heads narrowed."""
        names = list(inspect.signature(module.forward).parameters)
        positional = [self._own(name, own) for name, own in zip(names, arguments, strict=False)]
        return (*positional, *arguments[len(positional) :]), {name: self._own(name, own) for name, own in named.items()}

    def _own(self, name: str, value: Any) -> Any:
        if name not in self.axes or not isinstance(value, torch.Tensor) or value.ndim <= self.axes[name]:
            return value
        axis = self.axes[name]
        if value.shape[axis] % self.before:  # the same for all heads
            return value
        parted = value.reshape(*value.shape[:axis], -1, self.before, *value.shape[axis + 1 :])
        index = torch.tensor(self.heads, device=value.device)
        return parted.index_select(axis + 1, index).flatten(axis, axis + 1)


class Expert(nn.Module):
    """One gated feed-forward network of a mixture."""

    def __init__(self, gate: torch.Tensor, up: torch.Tensor, down: torch.Tensor, activation: Any) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = _linear(gate), _linear(up), _linear(down)
        self.activation = activation

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return its output for some tokens, shape (tokens, width)."""
        result: torch.Tensor = self.down_proj(
            self.activation(self.gate_proj(hidden_states)) * self.up_proj(hidden_states)
        )
        return result


class ClampedExpert(Expert):
    """One feed-forward network of gpt-oss: with biases, its gates and values clamped."""

    def __init__(self, fused: Any, number: int) -> None:
        both, bias = fused.gate_up_proj.detach()[number].T, fused.gate_up_proj_bias.detach()[number]
        super().__init__(both[::2], both[1::2], fused.down_proj.detach()[number].T, None)
        biases = (bias[::2], bias[1::2], fused.down_proj_bias.detach()[number])
        for linear, own in zip((self.gate_proj, self.up_proj, self.down_proj), biases, strict=True):
            linear.weight = nn.Parameter(linear.weight.detach().contiguous(), requires_grad=False)
            linear.bias = nn.Parameter(own.clone(), requires_grad=False)
        self.alpha, self.limit = fused.alpha, fused.limit

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return its output for some tokens, shape (tokens, width)."""
        gate = self.gate_proj(hidden_states).clamp(max=self.limit)
        up = self.up_proj(hidden_states).clamp(min=-self.limit, max=self.limit)
        result: torch.Tensor = self.down_proj((up + 1) * gate * torch.sigmoid(gate * self.alpha))
        return result


class Experts(nn.Module):
    """The experts of a mixture as modules of their own, so that each can be as wide as it is."""

    def __init__(self, fused: Any) -> None:
        super().__init__()
        self.members = nn.ModuleList(_expert(fused, number) for number in range(len(fused.gate_up_proj)))

    def forward(self, hidden_states: torch.Tensor, index: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the chosen experts' outputs; all of shape (tokens, ...)."""
        total = torch.zeros_like(hidden_states)
        for number, expert in enumerate(self.members):
            tokens, places = torch.where(index == number)
            if len(tokens):
                own = expert(hidden_states[tokens]) * weights[tokens, places, None]
                total = total.index_add(0, tokens, own.to(total.dtype))
        return total


def _expert(fused: Any, number: int) -> Expert:
    if hasattr(fused, "gate_up_proj_bias"):
        return ClampedExpert(fused, number)
    both = fused.gate_up_proj.detach()[number]
    half = len(both) // 2
    return Expert(both[:half], both[half:], fused.down_proj.detach()[number], fused.act_fn)


def _linear(weight: torch.Tensor) -> nn.Linear:
    made = nn.Linear(1, 1, bias=False)
    made.out_features, made.in_features = weight.shape
    made.weight = nn.Parameter(weight, requires_grad=False)
    return made


def unfused(model: nn.Module) -> nn.Module:
    """Give the experts of every mixture in the model modules of their own; it is changed in place and returned."""
    fused = [
        path
        for path, module in model.named_modules()
        if {"gate_up_proj", "down_proj"} <= set(module._parameters)  # noqa: SLF001  # parameters, not modules, tell
        and module._parameters["gate_up_proj"].ndim == 3  # noqa: SLF001  # as above
        and (hasattr(module, "act_fn") or hasattr(module, "gate_up_proj_bias"))
        and len(inspect.signature(module.forward).parameters) == 3  # tokens, the experts they go to, and how much
    ]
    for path in fused:
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, Experts(model.get_submodule(path)))
    return model


def narrow(model: nn.Module, plan: Plan) -> nn.Module:
    """Narrow a model in place by what `plan` says of its layers, with undefined weights; load them afterwards."""
    unfused(model)
    blocks = model.get_submodule(plan["blocks"])
    assert isinstance(blocks, nn.ModuleList)  # noqa: S101  # written by the same code; narrows the type
    kept = [narrow_block(blocks[number], shape) for number, shape in zip(plan["kept"], plan["layers"], strict=True)]
    opened = plan.get("opened", {})
    stacks = opened.get("stacks", [plan["blocks"]])
    put_layers(model, plan["blocks"], stacks, plan["kept"], kept)
    if len(stacks) == 1 and opened.get("times", 1) == 1:
        counted(model, plan["kept"], kept)
    return model


def put_layers(
    model: nn.Module, listed: str, stacks: Sequence[str], kept: Sequence[int], layers: Sequence[nn.Module]
) -> None:
    """Put layers, which were those numbered `kept` among all, into the stacks of a model in place of its own.

    Args:
        model: Changed in place.
        listed: Where it has all its layers: the path of its one stack, or an attribute beside several of them.
        stacks: The paths of their lists.
        kept: Which layers of the unpruned model these are, rising.
        layers: In this order.
    """
    start = 0
    for path in stacks:
        before: Any = model.get_submodule(path)
        end = start + len(before)
        own = [layer for number, layer in zip(kept, layers, strict=True) if start <= number < end]
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, nn.ModuleList(own))
        start = end
        for place, layer in enumerate(own if len(stacks) > 1 else ()):
            for module in layer.modules():
                for each in _INDICES:
                    if isinstance(vars(module).get(each), int):
                        vars(module)[each] = place
    if len(stacks) > 1:
        vars(model)[listed] = nn.ModuleList(layers)


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


def below(plan: Plan, prefix: str) -> dict[str, Any]:
    """Return a plan for what a model has below its head, to which its paths lead with this prefix."""
    found = {**plan, "blocks": plan["blocks"].removeprefix(prefix)}
    if "opened" in plan:
        stacks = [path.removeprefix(prefix) for path in plan["opened"]["stacks"]]
        found["opened"] = {**plan["opened"], "stacks": stacks}
    return found


def counted(model: Any, kept: Sequence[int], blocks: Sequence[nn.Module]) -> None:
    """Say in the model's config and in its layers how many layers there are, and which is which."""
    say_layers(model.config, kept)
    for number, (block, original) in enumerate(zip(blocks, kept, strict=True)):
        for module in block.modules():
            for name in _INDICES:
                if vars(module).get(name) == original:
                    setattr(module, name, number)


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


def narrow_block(block: nn.Module, shape: Plan, tensors: Tensors | None = None) -> nn.Module:
    """Narrow one layer in place and return it.

    Args:
        block: The layer.
        shape: `widths` of linear layers as [in, out], `attributes` of modules, `repeated` keys and values, `no_heads`;
            where there are any, `parameters` and their shapes, heads `chosen` behind norms, `arguments` of heads, and
            what else an `emptied` attention does.
        tensors: The parameters by path; without them they are undefined.
    """
    given = {} if tensors is None else tensors
    for path, (width_in, width_out) in shape["widths"].items():
        linear = block.get_submodule(path)
        linear.in_features, linear.out_features = width_in, width_out
        _set(linear, "weight", given.get(f"{path}.weight"), (width_out, width_in))
        if linear.bias is not None:
            _set(linear, "bias", given.get(f"{path}.bias"), (width_out,))
    for path, size in shape.get("parameters", {}).items():
        owner, _, name = path.rpartition(".")
        _set(block.get_submodule(owner), name, given.get(path), tuple(size))
    for path, values in shape["attributes"].items():
        for name, value in values.items():
            _count(block.get_submodule(path), name, value)
    for path, facts in shape.get("chosen", {}).items():
        block.get_submodule(path).register_forward_hook(ChosenHeads(facts["heads"], facts["width"]))
    for path, facts in shape.get("arguments", {}).items():
        hook = OwnHeads(facts["axes"], facts["heads"], facts["before"])
        block.get_submodule(path).register_forward_pre_hook(hook, with_kwargs=True)
    for path, facts in shape["repeated"].items():
        linear = block.get_submodule(path)
        linear.__class__ = Repeated
        linear.owners, linear.width = facts["owners"], facts["width"]
    for path, output in shape["no_heads"].items():
        _empty(block, path, output, dict(shape.get("emptied", {}).get(path, {})))
    return block


def _empty(block: nn.Module, path: str, output: str | None, facts: dict[str, Any]) -> None:
    """Put what is left of an attention without heads into its place."""
    parent, _, name = path.rpartition(".")
    own = None if output is None else block.get_submodule(f"{path}.{output}")
    attention = block.get_submodule(path)
    index = next((vars(attention)[name] for name in _INDICES if name in vars(attention)), None)
    if "norm" in facts:
        facts["norm"] = (facts["norm"], block.get_submodule(f"{path}.{facts['norm']}"))
    setattr(block.get_submodule(parent), name, NoHeads(output, own, index, **facts))


def _count(module: Any, name: str, value: int) -> None:
    """Set a count of a module, or of the config that it then has for itself."""
    if name.startswith("config."):
        module.config = copy.copy(module.config)
        module, name = module.config, name.removeprefix("config.")
    setattr(module, name, value)


def _set(module: Any, name: str, tensor: torch.Tensor | None, shape: tuple[int, ...]) -> None:
    before = getattr(module, name)
    value = torch.empty(shape, dtype=before.dtype, device=before.device) if tensor is None else tensor
    setattr(module, name, nn.Parameter(value, requires_grad=False))
