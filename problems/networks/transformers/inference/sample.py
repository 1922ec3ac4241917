"""Small instances of the problems of inference, to try methods on: models drawn at random, random words."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from emoprune.problems.language.sample import sample_folder, sample_model, text
from emoprune.problems.networks.transformers.inference.kv_cache.problem import KvCache

__all__ = ["kv_cache"]


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
