"""Small pretrained models of real architectures, as folders and as GGUF files, drawn at random from a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

WORDS = (
    *("the", "a", "cat", "dog", "house", "tree", "sees", "likes", "finds", "eats", "and", "or"),
    *("not", "red", "blue", "green", "big", "small", "old", "new", "it", "they", "is", "was"),
)
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")
VOCABULARY = len(SPECIAL) + len(WORDS)


def tokenizer() -> Any:
    """Return a tokenizer of whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate(SPECIAL + WORDS)}
    made = Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL[0]))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": SPECIAL[0], "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, **special)


def text(words: int, seed: int = 0) -> str:
    """Return random words with some order in them: each is followed by one of three."""
    rng, word, chosen = np.random.default_rng(seed), 0, []
    for _ in range(words):
        word = (3 * word + int(rng.integers(3))) % len(WORDS)
        chosen.append(WORDS[word])
    return " ".join(chosen)


def llama(heads: int = 4, key_value_heads: int = 2, layers: int = 2, **more: Any) -> Any:
    """Return a Llama of width 32 with weights large enough that every part of it matters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
        initializer_range=0.2,
        **more,
    )
    return drawn(LlamaForCausalLM, config)


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


def drawn(model_class: Any, config: Any, seed: int = 0) -> Any:
    """Return a model with weights drawn from `seed`, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config).eval()


def saved(folder: Path, model: Any, *, with_tokenizer: bool = True) -> Path:
    """Write a model, and the tokenizer of words, as a Hugging Face folder."""
    model.save_pretrained(folder)
    if with_tokenizer:
        tokenizer().save_pretrained(folder)
    return folder


def gguf(path: Path) -> Path:
    """Write a small Llama with a tokenizer of bytes into a GGUF file."""
    from gguf import GGUFWriter

    rng, width, inner = np.random.default_rng(0), 32, 48
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["<|im_start|>", "<|im_end|>", *letters, "Ġ", "ab"]
    writer = GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_context_length(128)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
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
        "blk.0.attn_norm.weight": (width,),
        "blk.0.ffn_norm.weight": (width,),
        "blk.0.attn_q.weight": (width, width),
        "blk.0.attn_k.weight": (width // 2, width),
        "blk.0.attn_v.weight": (width // 2, width),
        "blk.0.attn_output.weight": (width, width),
        "blk.0.ffn_gate.weight": (inner, width),
        "blk.0.ffn_up.weight": (inner, width),
        "blk.0.ffn_down.weight": (width, inner),
    }
    for name, shape in shapes.items():
        writer.add_tensor(name, rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
