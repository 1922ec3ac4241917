"""Finding heads and neurons: by the names that Hugging Face's models give their linear layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, Attention, Block, FeedForward

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
)
_HEADS = ("num_attention_heads", "num_heads", "n_heads")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_top_k")


def anatomy_of(model: Any) -> Anatomy:
    """Return where the model keeps its heads and neurons.

    Args:
        model: A Hugging Face model, its mixtures `unfused`.

    Raises:
        ConfigError: There is no list of layers with one attention each, or an attention or feed-forward network is of
            a kind that is not known.
    """
    lists = [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) and all(_attentions(each) for each in module)
    ]
    outermost = [(path, own) for path, own in lists if not any(path.startswith(f"{other}.") for other, _ in lists)]
    if len(outermost) != 1:
        raise ConfigError(_no_layers(model, [path for path, _ in outermost]))
    path, blocks = outermost[0]
    found = tuple(_block(f"{path}.{number}", block, model.config) for number, block in enumerate(blocks))
    first: Any = blocks[0].get_submodule(found[0].attention.output)
    return Anatomy(path, found, int(first.out_features))


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


def _block(where: str, block: nn.Module, config: Any) -> Block:
    attentions = _attentions(block)
    if len(attentions) != 1:
        raise ConfigError(
            f"model: layer {where} has {len(attentions)} attentions ({', '.join(path for path, _ in attentions)}), "
            "expected one; cross-attention is not supported"
        )
    attention = _attention(where, block, *attentions[0], config)
    own = {attention.query, attention.key, attention.value, attention.output}
    feed_forwards = tuple(_feed_forwards(block, own, config))
    if not feed_forwards:
        raise ConfigError(
            f"model: the feed-forward network of layer {where} ({type(block).__name__}) is of an unknown kind; "
            "expected linear layers such as gate_proj, up_proj and down_proj, or fc1 and fc2"
        )
    return Block(attention, feed_forwards)


def _attention(where: str, block: nn.Module, path: str, names: tuple[str, str, str], config: Any) -> Attention:
    module: Any = block.get_submodule(path)
    query, key, value = (getattr(module, name) for name in names)
    output = next(_outputs(block, path), None)
    counts = [getattr(holder, name, None) for holder in (module, config) for name in _HEADS]
    heads = next((count for count in counts if isinstance(count, int) and count > 0), 0)
    fits = (
        output is not None
        and heads > 0
        and query.out_features % heads == 0
        and key.out_features == value.out_features
        and key.out_features % (query.out_features // heads) == 0
        and query.out_features % key.out_features == 0
        and block.get_submodule(output).in_features == query.out_features
    )
    if not fits or output is None:
        raise ConfigError(
            f"model: the attention of layer {where} ({type(module).__name__}) is of an unknown kind: {heads} heads, "
            f"queries of {query.out_features}, keys of {key.out_features}, values of {value.out_features}, output "
            f"projection {output or 'not found'}"
        )
    width = query.out_features // heads
    query_path, key_path, value_path = (f"{path}.{name}" if path else name for name in names)
    heads_of_keys = key.out_features // width
    return Attention(path, query_path, key_path, value_path, output, heads, heads_of_keys, width)


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


def _feed_forwards(block: nn.Module, taken: set[str], config: Any) -> Iterator[FeedForward]:
    """Yield every feed-forward network of a layer, in the order of its modules; each linear layer belongs to one."""
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
