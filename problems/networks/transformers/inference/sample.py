"""Small instances of the problems of inference, to try methods on: models drawn at random, random words."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.problems.language.quiet import quiet
from emoprune.problems.language.sample import drawn, sample_folder, sample_model, saved, text
from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.transformers.inference.hierarchy.problem import KvHierarchy
from emoprune.problems.networks.transformers.inference.kv_cache.problem import KvCache
from emoprune.problems.networks.transformers.inference.tokens.problem import Tokens
from emoprune.problems.networks.transformers.inference.top_p.problem import AttentionTopP

__all__ = ["attention_top_p", "images", "kv_cache", "kv_hierarchy", "tokens"]


@cache
def _words() -> Path:
    path = sample_folder() / "words-to-go-on.txt"
    path.write_text(text(2400), encoding="utf-8")
    return path


def kv_cache(*, selector: Any = None, **options: Any) -> KvCache:
    """Return a small instance; `options` are the problem's own, `selector` is the only one beside another."""
    chosen = ("h2o", "sinks-and-window") if selector is None else (selector,)
    usual = {
        "model": str(sample_model()),
        "data": str(_words()),
        "context": 32,
        "continued": 8,
        "search": 3,
        "select": 3,
        "test": 3,
        "pass_keys": 1,
        "budgets": (0.25, 0.5, 0.75),
        "sinks": 1,
        "window": 3,
        "selectors": chosen,
        "references": ("uniform",),
    }
    return KvCache(**{**usual, **options})


def attention_top_p(**options: Any) -> AttentionTopP:
    """Return a small instance; `options` are the problem's own."""
    usual = {
        "model": str(sample_model()),
        "data": str(_words()),
        "context": 32,
        "continued": 8,
        "search": 3,
        "select": 3,
        "test": 3,
        "pass_keys": 1,
        "shares": (0.5, 0.8),
        "pages": (0.5, 1.0),
        "page": 4,
        "dense": (0, 1),
        "bits": (3, 32),
        "references": ("uniform",),
    }
    return AttentionTopP(**{**usual, **options})


def kv_hierarchy(**options: Any) -> KvHierarchy:
    """Return a small instance; `options` are the problem's own."""
    usual = {
        "model": str(sample_model()),
        "data": str(_words()),
        "context": 32,
        "continued": 8,
        "search": 3,
        "select": 3,
        "test": 3,
        "pass_keys": 1,
        "shares": (0.1, 0.4),
        "stages": ((8, 2), (4,)),
        "widenings": (1.5, 3.0),
        "sinks": 1,
        "window": 3,
        "references": ("uniform",),
    }
    return KvHierarchy(**{**usual, **options})


@cache
def _vit() -> Path:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        image_size=16,
        patch_size=4,
        num_channels=1,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_labels=4,
        initializer_range=0.2,
    )
    with quiet():
        return saved(sample_folder() / "vit", drawn(ViTForImageClassification, config), with_tokenizer=False)


def images() -> ImageData:
    """Return random images of 16 pixels and random labels."""
    rng = np.random.default_rng(0)
    parts = [(rng.normal(size=(count, 1, 16, 16)), rng.integers(4, size=count)) for count in (12, 8, 6, 6)]
    return ImageData(*(LabelledImages(own.astype(np.float32), labels) for own, labels in parts))


def tokens(*, selector: Any = None, **options: Any) -> Tokens:
    """Return a small instance; `options` are the problem's own, `selector` is the only one."""
    chosen = ("attention", "coverage", "cls-knee") if selector is None else (selector,)
    usual = {
        "model": str(_vit()),
        "data": f"{__name__}:images",
        "shares": (0.25, 0.5, 0.75),
        "selectors": chosen,
        "references": ("uniform",),
        "accept_guessing": True,
    }
    return Tokens(**{**usual, **options})
