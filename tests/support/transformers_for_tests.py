"""Small transformers of real architectures, by the kind of their attention and feed-forward network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from language_for_tests import VOCABULARY, drawn, llama, saved, text

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.2,
}


def _made(name: str, **more: Any) -> Any:
    """Return a model of transformers' class of that name, its config of the class beside it."""
    import transformers

    family = name.partition("For")[0]
    config = getattr(transformers, f"{'Gemma3Text' if family == 'Gemma3' else family}Config")
    return drawn(getattr(transformers, name), config(**more))


LANGUAGE: Mapping[str, Callable[[], Any]] = {
    "multi-head Llama": partial(llama, 4, 4),
    "grouped-query Llama": partial(llama, 4, 2),
    "multi-query Llama": partial(llama, 4, 1),
    "Qwen2, biases": partial(_made, "Qwen2ForCausalLM", **SIZES, num_key_value_heads=2),
    "Qwen3, norms of heads": partial(_made, "Qwen3ForCausalLM", **SIZES, num_key_value_heads=2, head_dim=8),
    "Mistral": partial(_made, "MistralForCausalLM", **SIZES, num_key_value_heads=2),
    "Gemma2, soft caps": partial(_made, "Gemma2ForCausalLM", **SIZES, num_key_value_heads=2, head_dim=8),
    "Granite, scaled logits": partial(
        _made, "GraniteForCausalLM", **SIZES, num_key_value_heads=2, logits_scaling=3.0, residual_multiplier=0.5
    ),
    "Mixtral": partial(
        _made, "MixtralForCausalLM", **SIZES, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2
    ),
    "Qwen2-MoE, a shared expert": partial(
        _made,
        "Qwen2MoeForCausalLM",
        **SIZES,
        num_key_value_heads=2,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=24,
        shared_expert_intermediate_size=32,
    ),
}
CLASSIFIERS: Mapping[str, Callable[[], Any]] = {
    "BERT": partial(_made, "BertForSequenceClassification", **SIZES),
    "RoBERTa": partial(_made, "RobertaForSequenceClassification", **SIZES, pad_token_id=3),
    "DistilBERT": partial(
        _made,
        "DistilBertForSequenceClassification",
        vocab_size=VOCABULARY,
        dim=32,
        hidden_dim=48,
        n_layers=2,
        n_heads=4,
    ),
}
IMAGES = {"image_size": 16, "patch_size": 4, "num_channels": 1}
_SHAPE = {name: size for name, size in SIZES.items() if name != "vocab_size"}
VISION: Mapping[str, Callable[[], Any]] = {
    "ViT": partial(_made, "ViTForImageClassification", **_SHAPE, **IMAGES),
    "DeiT": partial(_made, "DeiTForImageClassification", **_SHAPE, **IMAGES),
}
KINDS = {**LANGUAGE, **CLASSIFIERS, **VISION}


def inputs_of(kind: str) -> dict[str, torch.Tensor]:
    """Return two examples for a model of that kind, the second sentence shorter."""
    generator = torch.Generator().manual_seed(0)
    if kind in VISION:
        return {"pixel_values": torch.randn(2, 1, 16, 16, generator=generator)}
    ids = torch.randint(4, VOCABULARY, (2, 12), generator=generator)
    if kind in LANGUAGE:
        return {"input_ids": ids}
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def language_folder(place: Path, model: Any | None = None, words: int = 4000) -> dict[str, str]:
    """Write a small language model and a text for it; return the options that name them."""
    saved(place / "model", llama(layers=3) if model is None else model)
    (place / "words.txt").write_text(text(words), encoding="utf-8")
    return {"model": str(place / "model"), "data": str(place / "words.txt")}


SMALL = {"length": 12, "calibration": 12, "search": 12, "select": 12, "test": 12, "levels": 4}


def sentences_folder(place: Path, rows: int = 240) -> dict[str, str]:
    """Write a small BERT without a classifier, and sentences whose label is whether they begin with a certain word."""
    import transformers

    config = transformers.BertConfig(**SIZES, max_position_embeddings=64)
    saved(place / "encoder", drawn(transformers.BertModel, config))
    lines = ["sentence\tlabel"]
    for row in range(rows):
        words = text(9, seed=row).split()
        words[0] = "red" if row % 2 else "cat"
        lines.append(f"{' '.join(words[: 4 + row % 6])}\t{row % 2}")
    (place / "rows.tsv").write_text("\n".join(lines), encoding="utf-8")
    return {"model": str(place / "encoder"), "data": str(place / "rows.tsv")}
