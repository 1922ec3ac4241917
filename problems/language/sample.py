"""A language model within a second: a small Llama drawn at random, and a tokenizer of whole words."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emoprune.problems.language.quiet import quiet

__all__ = ["SPECIAL", "WORDS", "drawn", "llama", "sample_folder", "sample_model", "saved", "text", "tokenizer"]

WORDS = (
    *("the", "a", "cat", "dog", "house", "tree", "sees", "likes", "finds", "eats", "and", "or"),
    *("not", "red", "blue", "green", "big", "small", "old", "new", "it", "they", "is", "was"),
)
SPECIAL = ("<unk>", "<s>", "</s>", "<pad>")


@cache
def sample_folder() -> Path:
    """Return a folder for what samples are made of; it is this process's own, and gone with it."""
    folder = tempfile.TemporaryDirectory(prefix="emoprune-sample-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@cache
def sample_model() -> Path:
    """Return the folder of a causal language model that is the same in every process, to try methods on."""
    with quiet():
        return saved(sample_folder() / "model", llama())


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
        vocab_size=len(SPECIAL) + len(WORDS),
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
