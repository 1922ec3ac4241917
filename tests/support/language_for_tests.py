"""Small pretrained models of real architectures, as folders and as GGUF files, drawn at random from a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emoprune.problems.language.sample import SPECIAL, WORDS, drawn, llama, saved, text, tokenizer

__all__ = [
    "SPECIAL",
    "VOCABULARY",
    "WORDS",
    "bert",
    "drawn",
    "gguf",
    "llama",
    "saved",
    "text",
    "tokenizer",
]

VOCABULARY = len(SPECIAL) + len(WORDS)


def bert() -> Any:
    """Return a masked language model of width 32."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=96,
        pad_token_id=3,
        initializer_range=0.2,
    )
    return drawn(BertForMaskedLM, config)


def gguf(path: Path, layers: int = 1) -> Path:
    """Write a small Llama with a tokenizer of bytes into a GGUF file."""
    from gguf import GGUFWriter

    rng, width, inner = np.random.default_rng(0), 32, 48
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["<|im_start|>", "<|im_end|>", *letters, "Ġ", "ab"]
    writer = GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *([1] * (len(tokens) - 2))])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    shapes = {
        "token_embd.weight": (len(tokens), width),
        "output_norm.weight": (width,),
        "output.weight": (len(tokens), width),
    }
    of_layer = {
        "attn_norm": (width,),
        "ffn_norm": (width,),
        "attn_q": (width, width),
        "attn_k": (width // 2, width),
        "attn_v": (width // 2, width),
        "attn_output": (width, width),
        "ffn_gate": (inner, width),
        "ffn_up": (inner, width),
        "ffn_down": (width, inner),
    }
    for number in range(layers):
        shapes |= {f"blk.{number}.{name}.weight": shape for name, shape in of_layer.items()}
    for name, shape in shapes.items():
        writer.add_tensor(name, rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
