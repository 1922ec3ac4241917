"""Small models with drawn weights of many architectures: those with a description of their own, and many without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from emoprune import plugins
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn

__all__ = ["QUICK", "REFUSED", "ZOO", "Kept", "Kind"]

Kind = Literal["language", "sentences", "images"]
GROUPED: Mapping[str, Any] = {**SIZES, "num_key_value_heads": 2}
MIXED = {**GROUPED, "num_experts": 4, "num_experts_per_tok": 2}
IMAGES: Mapping[str, Any] = {
    **{name: size for name, size in SIZES.items() if not name.endswith("_id") and name != "vocab_size"},
    "image_size": 16,
    "patch_size": 4,
    "num_channels": 1,
    "num_labels": 10,
}
QUICK = ("GPT-2", "BERT")


@dataclass(frozen=True, slots=True)
class Kept:
    """A model of the zoo: what it is for, and what makes it."""

    kind: Kind
    made: Callable[[], Any]


def _described(name: str) -> Any:
    return plugins.method("architecture", name, "heads-and-neurons").tiny()


def _described_ones(kind: Kind, names: Mapping[str, str]) -> dict[str, Kept]:
    return {family: Kept(kind, partial(_described, name)) for family, name in names.items()}


def _found(kind: Kind, sizes: Mapping[str, Any], names: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, Kept]:
    """Return models whose layers have usual names, by family; each is named by the start of its class."""
    ends = {"language": "ForCausalLM", "sentences": "ForSequenceClassification", "images": "ForImageClassification"}
    return {
        family: Kept(kind, partial(drawn, f"{start}{ends[kind]}", f"{start}Config", **{**sizes, **more}))
        for family, (start, more) in names.items()
    }


ZOO: Mapping[str, Kept] = {
    **_described_ones(
        "language",
        {
            "GPT-2": "gpt2",
            "GPT-NeoX, Pythia": "gpt_neox",
            "GPT-J": "gptj",
            "GPT-BigCode": "gpt_bigcode",
            "CodeGen": "codegen",
            "BLOOM": "bloom",
            "Falcon": "falcon",
            "MPT": "mpt",
            "Persimmon": "persimmon",
            "Phi-3": "phi3",
            "GLM-4": "glm4",
            "OLMo 2": "olmo2",
            "gpt-oss": "gpt_oss",
            "XGLM": "xglm",
        },
    ),
    **_found(
        "language",
        GROUPED,
        {
            "Llama": ("Llama", {}),
            "Mistral": ("Mistral", {}),
            "Qwen2": ("Qwen2", {}),
            "Qwen3": ("Qwen3", {"head_dim": 8}),
            "Gemma": ("Gemma", {"head_dim": 8}),
            "Gemma 2": ("Gemma2", {"head_dim": 8}),
            "Granite": ("Granite", {}),
            "Cohere": ("Cohere", {}),
            "StableLM": ("StableLm", {}),
            "StarCoder2": ("Starcoder2", {}),
            "Phi": ("Phi", {}),
            "OLMo": ("Olmo", {}),
            "OLMo 3": ("Olmo3", {"sliding_window": 8}),
            "Mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
            "Qwen2-MoE": ("Qwen2Moe", {**MIXED, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 32}),
            "Qwen3-MoE": ("Qwen3Moe", {**MIXED, "moe_intermediate_size": 24, "head_dim": 8}),
            "OLMoE": ("Olmoe", MIXED),
            "OPT": ("OPT", {"ffn_dim": 48, "word_embed_proj_dim": 32, "max_position_embeddings": 64}),
            "GPT-Neo": ("GPTNeo", {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}),
            "BioGPT": ("BioGpt", {}),
        },
    ),
    **_described_ones(
        "sentences",
        {
            "ModernBERT": "modernbert",
            "ALBERT": "albert",
            "DeBERTa": "deberta",
            "DeBERTa v2, v3": "deberta-v2",
            "MPNet": "mpnet",
            "BART": "bart",
            "T5": "t5",
        },
    ),
    **_found(
        "sentences",
        {**SIZES, "max_position_embeddings": 64},
        {
            "BERT": ("Bert", {}),
            "RoBERTa": ("Roberta", {}),
            "XLM-RoBERTa": ("XLMRoberta", {}),
            "CamemBERT": ("Camembert", {}),
            "ELECTRA": ("Electra", {"embedding_size": 32}),
            "DistilBERT": ("DistilBert", {"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}),
            "RoFormer": ("RoFormer", {}),
            "MobileBERT": ("MobileBert", {}),
        },
    ),
    **_described_ones("images", {"BEiT": "beit", "Swin": "swin"}),
    **_found(
        "images",
        IMAGES,
        {"ViT": ("ViT", {}), "DeiT": ("DeiT", {}), "DINOv2": ("Dinov2", {"mlp_ratio": 2})},
    ),
}
# What is refused before a run, with a sentence that names it.
REFUSED: Mapping[str, Kept] = {
    **_found(
        "language",
        GROUPED,
        {
            "DeepSeek v3": ("DeepseekV3", {"n_routed_experts": 4, "num_experts_per_tok": 2}),
            "Mamba": ("Mamba", {}),
        },
    ),
    **_found(
        "sentences",
        {**SIZES, "max_position_embeddings": 64},
        {
            "BigBird": ("BigBird", {"block_size": 4, "num_random_blocks": 1}),
            "X-MOD": ("Xmod", {"languages": ("en", "de"), "default_language": "en"}),
            "FNet": ("FNet", {}),
            "Longformer": ("Longformer", {"attention_window": 4}),
        },
    ),
    **_found(
        "images",
        IMAGES,
        {
            "ConvNeXt": ("ConvNext", {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}),
        },
    ),
    "SegFormer": Kept(
        "images", partial(drawn, "SegformerForImageClassification", "SegformerConfig", num_channels=1, num_labels=10)
    ),
}
