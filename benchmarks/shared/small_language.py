"""A language model and a text of no use but to see that a benchmark works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

__all__ = ["small_model"]

WORDS = 60


def small_model(folder: Path) -> tuple[str, str]:
    """Write a small Llama with random weights, and a text of random words; return their places."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = [f"word{number}" for number in range(WORDS)]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    place, text = folder / "small-model", folder / "small.txt"
    model.save_pretrained(place)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token=words[0]).save_pretrained(place)
    chosen = np.random.default_rng(0).integers(WORDS, size=12_000)
    text.write_text(" ".join(words[number] for number in chosen), encoding="utf-8")
    return str(place), str(text)
