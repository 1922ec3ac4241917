"""Finding heads and neurons: as an architecture describes them, or by the names that linear layers usually have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.described import (
    LISTED,
    described,
    has_attention,
    module_at,
    opened_in_place,
)
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, Attention, Block, FeedForward, HeadTraits
from emoprune.problems.networks.transformers.standalone.mixtures import unfused

__all__ = ["anatomy_of"]

# Query, key and value within one module, and where its output projection may be, from there or from its parent.
_PROJECTIONS = (("q_proj", "k_proj", "v_proj"), ("query", "key", "value"), ("q_lin", "k_lin", "v_lin"))
_OUTPUTS_INSIDE = ("o_proj", "out_proj", "out_lin", "dense")
_OUTPUTS_BESIDE = ("output.dense",)
# What puts neurons out and what takes them in; gated ones first, because a plain pair may be part of them.
_FEED_FORWARDS = (
    (("gate_proj", "up_proj"), "down_proj"),
    (("w1", "w3"), "w2"),
    (("fc1",), "fc2"),
    (("lin1",), "lin2"),
    (("c_fc",), "c_proj"),
    (("up_proj",), "down_proj"),
    (("intermediate.dense",), "output.dense"),
    (("wi_0", "wi_1"), "wo"),
    (("wi",), "wo"),
)
_HEADS = ("num_attention_heads", "num_heads", "n_heads")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_top_k")


def anatomy_of(model: Any, form: LayerForm | None = None) -> Anatomy:
    """Return where the model keeps its heads and neurons.

    Args:
        model: A Hugging Face model. Its mixtures, fused and transposed projections are opened in place.
        form: How its layers are made; None for what the installed architecture of its `model_type` says.

    Raises:
        ConfigError: There is no list of layers with one attention each, or an attention or feed-forward network is of
            a kind that is not known.
    """
    form = described(model.config) if form is None else form
    unfused(model, clamped=form.clamped)
    stacks = _stacks(model, form)
    opened = opened_in_place(model, stacks, form)
    blocks = [(f"{path}.{number}", block) for path in stacks for number, block in enumerate(model.get_submodule(path))]
    found = tuple(_block(where, block, model.config, form) for where, block in blocks)
    first: Any = blocks[0][1].get_submodule(found[0].attention.output)
    return Anatomy(stacks[0] if len(stacks) == 1 else LISTED, found, int(first.out_features), opened, stacks)


def _stacks(model: Any, form: LayerForm) -> tuple[str, ...]:
    """Return the paths of the lists of layers that have an attention each: one, unless there may be several."""
    attention = form.attention
    lists = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module)
        and all(_attentions(each) if attention is None else has_attention(each, attention) for each in module)
    ]
    outermost = [path for path in lists if not any(path.startswith(f"{other}.") for other in lists)]
    if not outermost or (len(outermost) > 1 and not form.several):
        raise ConfigError(_no_layers(model, outermost))
    return tuple(outermost)


def _no_layers(model: Any, several: list[str]) -> str:
    if several:
        return (
            f"model: expected one stack of layers with an attention each, found {' and '.join(several)}; a model of "
            "an encoder and a decoder is not supported, give one of them"
        )
    kinds = sorted(
        {type(module).__name__ for module in model.modules() if "attention" in type(module).__name__.lower()}
    )
    return (
        f"model: the attention of {type(model).__name__} ({', '.join(kinds) or 'none found'}) is of an unknown kind; "
        "expected separate linear layers for query, key and value, as BERT-, ViT- and Llama-like models have them"
    )


def _attentions(block: nn.Module) -> list[tuple[str, tuple[str, str, str]]]:
    """Return the modules within a layer that have three projections, and the projections' names."""
    found = []
    for path, module in block.named_modules():
        found += [
            (path, names)
            for names in _PROJECTIONS
            if all(isinstance(getattr(module, name, None), nn.Linear) for name in names)
        ]
    return found


def _block(where: str, block: nn.Module, config: Any, form: LayerForm) -> Block:
    attention = _attention(where, block, form.attention or _usual(where, block), form.traits, config)
    own = {attention.query, attention.key, attention.value, attention.output}
    described_ones = [(each.projections, each.output) for each in form.feed_forwards]
    feed_forwards = tuple(_feed_forwards(block, own, config, described_ones))
    if not feed_forwards:
        raise ConfigError(
            f"model: the feed-forward network of layer {where} ({type(block).__name__}) is of an unknown kind; "
            "expected linear layers such as gate_proj, up_proj and down_proj, or fc1 and fc2"
        )
    crossing = module_at(block, form.crossing) if form.crossing else None
    return Block(
        attention, feed_forwards, form.times, 0 if crossing is None else int(_linear(block, form.crossing).in_features)
    )


def _usual(where: str, block: nn.Module) -> AttentionForm:
    """Return the attention of a layer whose projections have usual names."""
    attentions = _attentions(block)
    if len(attentions) != 1:
        raise ConfigError(
            f"model: layer {where} has {len(attentions)} attentions ({', '.join(path for path, _ in attentions)}), "
            "expected one; cross-attention is not supported"
        )
    path, names = attentions[0]
    query, key, value = (f"{path}.{name}" if path else name for name in names)
    return AttentionForm(path, next(_outputs(block, path), ""), query, key, value)


def _attention(where: str, block: nn.Module, form: AttentionForm, traits: HeadTraits, config: Any) -> Attention:
    module: Any = block.get_submodule(form.path)
    paths = [form.projection(part) for part in ("query", "key", "value")]
    query, key, value = (int(_linear(block, path).out_features) for path in paths)
    counts = [getattr(holder, name, None) for holder in (module, config) for name in _HEADS]
    heads = next((count for count in counts if isinstance(count, int) and count > 0), 0)
    fits = (
        heads > 0
        and bool(form.output)
        and query % heads == 0
        and key == value
        and key % (query // heads) == 0
        and query % key == 0
        and _linear(block, form.output).in_features == query
    )
    if not fits:
        raise ConfigError(
            f"model: the attention of layer {where} ({type(module).__name__}) is of an unknown kind: {heads} heads, "
            f"queries of {query}, keys of {key}, values of {value}, output projection {form.output or 'not found'}"
        )
    width = query // heads
    return Attention(form.path, paths[0], paths[1], paths[2], form.output, heads, key // width, width, traits)


def _linear(block: nn.Module, path: str) -> Any:
    return block.get_submodule(path)


def _outputs(block: nn.Module, path: str) -> Iterator[str]:
    places = [(path, name) for name in _OUTPUTS_INSIDE]
    places += [(path.rpartition(".")[0], name) for name in _OUTPUTS_BESIDE]
    for place, name in places:
        whole = f"{place}.{name}" if place else name
        if _is_linear(block, whole):
            yield whole


def _is_linear(block: nn.Module, path: str) -> bool:
    try:
        return isinstance(block.get_submodule(path), nn.Linear)
    except AttributeError:
        return False


def _feed_forwards(
    block: nn.Module, taken: set[str], config: Any, described_ones: list[tuple[tuple[str, ...], str]]
) -> Iterator[FeedForward]:
    """Yield the feed-forward networks that are described, or else every one of usual names, in the order of modules.

    Each linear layer belongs to one.
    """
    if described_ones:
        for inputs, output in described_ones:
            yield FeedForward(inputs, output, int(_linear(block, output).in_features))
        return
    taken = set(taken)
    experts = [path for path, module in block.named_modules() if isinstance(module, nn.ModuleList) and "expert" in path]
    for path, _ in block.named_modules():
        for inputs, output in _FEED_FORWARDS:
            paths = [f"{path}.{name}" if path else name for name in (*inputs, output)]
            if not all(_is_linear(block, own) for own in paths) or set(paths) & taken:
                continue
            last: Any = block.get_submodule(paths[-1])
            if any(block.get_submodule(own).out_features != last.in_features for own in paths[:-1]):
                continue
            taken |= set(paths)
            share = next((_share(block, own, config) for own in experts if path.startswith(f"{own}.")), 1.0)
            yield FeedForward(tuple(paths[:-1]), paths[-1], int(last.in_features), share)


def _share(block: nn.Module, experts: str, config: Any) -> float:
    members: Any = block.get_submodule(experts)
    chosen = next((getattr(config, name) for name in _CHOSEN if hasattr(config, name)), len(members))
    return float(chosen) / len(members)
