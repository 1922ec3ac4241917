"""A narrowed language model as one GGUF file for llama.cpp, in families where the format counts heads by layer.

Of these families llama.cpp runs layers of unequal width as the architecture `deci`: a Llama whose layers each have
their own numbers of heads, keys and neurons, and perhaps no attention. Where all layers are alike it is a `llama`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.language.loading import LoadedModel
from emoprune.problems.language.origins import origin_of
from emoprune.problems.networks.transformers.standalone.attentions import NoHeads, Repeated

__all__ = ["FAMILIES", "check_family", "write_gguf"]

FAMILIES = ("llama", "mistral")
NAME = "model.gguf"
_TYPES = {
    torch.float32: GGMLQuantizationType.F32,
    torch.float16: GGMLQuantizationType.F16,
    torch.bfloat16: GGMLQuantizationType.BF16,
}
_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_ATTENTION = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output"}
_FEED_FORWARD = {"gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Widths:
    """Heads, key and value heads, and neurons of one layer."""

    heads: int
    keys: int
    neurons: int


def check_family(loaded: LoadedModel) -> None:
    """Refuse a model that llama.cpp does not run with layers of unequal width, or whose tokenizer is not at hand.

    Raises:
        ConfigError: It says what is expected.
    """
    config = loaded.model.config
    rope = getattr(config, "rope_parameters", None) or {}
    other = {
        "family": config.model_type not in FAMILIES,
        "biases": bool(getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False)),
        "scaled positions": rope.get("rope_type", "default") != "default",
        "a sliding window": getattr(config, "sliding_window", None) is not None,
    }
    found = [name for name, wrong in other.items() if wrong]
    if found:
        raise ConfigError(
            f"format gguf: expected one of {', '.join(FAMILIES)} with plain rotary positions, no biases and no sliding "
            f"window, of which llama.cpp counts heads by layer; found {config.model_type} ({', '.join(found)}); export "
            "safetensors"
        )
    if not origin_of(loaded.source.name).is_gguf:
        raise ConfigError(
            "format gguf: expected a model that was read from a GGUF file, whose tokenizer is copied; found "
            f"{loaded.source.origin} {loaded.source.name!r}; convert the model to GGUF first and prune that, or export "
            "safetensors"
        )


def write_gguf(folder: Path, model: Any, loaded: LoadedModel, dtype: torch.dtype) -> dict[str, str | int]:
    """Write the narrowed model as `model.gguf`, and read it back: every tensor and every count must be there again.

    Args:
        folder: Where the model lies in other forms already.
        model: The narrowed model of transformers, on the CPU.
        loaded: The unpruned model's source, a GGUF file whose tokenizer is copied.
        dtype: Of weights; norms are always 32-bit floats.

    Raises:
        ContractError: What is read back is not what was written.
        ConfigError: A layer has no neurons.
        OSError: The disk is full, read-only or gone.
    """
    layers = [_widths(block, model.config.head_dim) for block in model.model.layers]
    if any(layer.neurons == 0 for layer in layers):
        raise ConfigError("format gguf: llama.cpp skips a layer without neurons; export safetensors")
    alike = len(set(layers)) == 1 and layers[0].heads > 0
    path, architecture = folder / NAME, "llama" if alike else "deci"
    writer = GGUFWriter(path, architecture)
    tensors = dict(_tensors(model, layers))
    try:
        _say(writer, model.config, layers, alike=alike)
        _copy_tokenizer(writer, origin_of(loaded.source.name).place)
        for name, tensor in tensors.items():
            kind = _TYPES[dtype] if tensor.ndim > 1 else GGMLQuantizationType.F32
            writer.add_tensor(name, quantize(tensor, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()
    _check(path, tensors, layers)
    with (folder / "README.md").open("a", encoding="utf-8") as card:
        card.write(f"\n## For llama.cpp\n\n`{NAME}` is the model as `{architecture}`; every tensor was read back.\n")
    return {"gguf architecture": architecture, "gguf bytes": path.stat().st_size}


def _widths(block: Any, width: int) -> _Widths:
    neurons = int(block.mlp.down_proj.in_features)
    if isinstance(block.self_attn, NoHeads):
        return _Widths(0, 0, neurons)
    heads = int(block.self_attn.q_proj.out_features) // width
    key = block.self_attn.k_proj
    return _Widths(heads, heads if isinstance(key, Repeated) else int(key.out_features) // width, neurons)


def _say(writer: GGUFWriter, config: Any, layers: Sequence[_Widths], *, alike: bool) -> None:
    counts = {
        name: getattr(layers[0], name) if alike else [getattr(layer, name) for layer in layers]
        for name in ("heads", "keys", "neurons")
    }
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(len(layers))
    writer.add_feed_forward_length(counts["neurons"])
    writer.add_head_count(counts["heads"])
    writer.add_head_count_kv(counts["keys"])
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(float((config.rope_parameters or {}).get("rope_theta", 10000.0)))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _copy_tokenizer(writer: GGUFWriter, source: Path | None) -> None:
    """Copy everything that the unpruned model's file says of its tokenizer."""
    for name, field in GGUFReader(source).fields.items():
        if name.startswith("tokenizer."):
            array = field.types[0] == GGUFValueType.ARRAY
            writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if array else None)


def _tensors(model: Any, layers: Sequence[_Widths]) -> Iterator[tuple[str, Array]]:
    """Yield every tensor by the name and in the order that llama.cpp reads."""
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for name, own in _OUTSIDE.items():
        if not (tied and name == "lm_head.weight"):
            yield own, _array(model.get_parameter(name))
    for number, (block, widths) in enumerate(zip(model.model.layers, layers, strict=True)):
        yield f"blk.{number}.ffn_norm.weight", _array(block.post_attention_layernorm.weight)
        for name, own in _FEED_FORWARD.items():
            yield f"blk.{number}.{own}.weight", _array(getattr(block.mlp, name).weight)
        if widths.heads == 0:
            continue
        yield f"blk.{number}.attn_norm.weight", _array(block.input_layernorm.weight)
        for name, own in _ATTENTION.items():
            yield f"blk.{number}.{own}.weight", _projection(name, getattr(block.self_attn, name), widths)


def _projection(name: str, linear: Any, widths: _Widths) -> Array:
    weight = _array(linear.weight)
    if isinstance(linear, Repeated):
        heads = weight.reshape(-1, linear.width, weight.shape[1])
        weight = heads[linear.owners].reshape(-1, weight.shape[1])
    heads_of = {"q_proj": widths.heads, "k_proj": widths.keys}
    if name not in heads_of:
        return weight
    # llama.cpp turns neighbouring numbers together, transformers those that lie half a head apart.
    halves = weight.reshape(heads_of[name], 2, -1, weight.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def _array(tensor: torch.Tensor) -> Array:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())


def _check(path: Path, tensors: Mapping[str, Array], layers: Sequence[_Widths]) -> None:
    reader = GGUFReader(path)
    found = {own.name: dequantize(own.data, own.tensor_type) for own in reader.tensors}
    same = set(found) == set(tensors) and all(
        np.array_equal(found[name].reshape(tensor.shape), tensor) for name, tensor in tensors.items()
    )
    architecture = reader.fields["general.architecture"].contents()
    for what, key in (
        ("heads", "attention.head_count"),
        ("keys", "attention.head_count_kv"),
        ("neurons", "feed_forward_length"),
    ):
        counts = reader.fields[f"{architecture}.{key}"].contents()
        expected = [getattr(layer, what) for layer in layers]
        same = same and (counts if isinstance(counts, list) else [counts] * len(layers)) == expected
    if not same:
        raise ContractError(f"export: {path.name}: what is read back is not what was written; report the model")
