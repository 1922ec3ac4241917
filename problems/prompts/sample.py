"""Small prompts to try methods on: a model drawn at random, and examples made of the few words that it knows."""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import Any

import numpy as np

from emoprune.problems.language.sample import WORDS, sample_folder, sample_model
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.problems.prompts.vocabulary import PromptVocabulary

__all__ = ["tokens", "vocabulary"]

SIZES = {"search": 12, "select": 8, "test": 8}
VERBALISERS = {"one": "red", "two": "blue"}


def tokens(**options: Any) -> PromptTokens:
    """Return the deletion of tokens from a prompt of eight words, with these options beside or instead of its own."""
    usual = {"prompt": "the cat sees a dog red {sentence} is", "references": ("random",), "reference_prompts": 20}
    return PromptTokens(**{**_shared(), **usual, **options})


def vocabulary(*, criterion: Any = "reward", **options: Any) -> PromptVocabulary:
    """Return two slots for some of eight words; `criterion` says what these are kept for."""
    usual = {"prompt": "{words} the {sentence} is", "slots": 2, "words": WORDS[:8], "percentile": 40.0}
    return PromptVocabulary(**{**_shared(), **usual, "influence": criterion, **options})


def _shared() -> dict[str, Any]:
    return {"model": str(sample_model()), "examples": _examples(), "verbalisers": VERBALISERS, "price": 1.0}


@cache
def _examples() -> dict[str, str]:
    """Write three files of examples that share nothing, and return them as a config names them."""
    rng, texts = np.random.default_rng(0), dict[str, None]()
    while len(texts) < sum(SIZES.values()):
        texts.setdefault(" ".join(rng.choice(WORDS, int(rng.integers(2, 8)))))
    rows, written = enumerate(texts), {}
    for part, size in SIZES.items():
        lines = [f"{text}\t{('one', 'two')[number % 2]}\n" for number, text in islice(rows, size)]
        path = sample_folder() / f"{part}.tsv"
        path.write_text(f"sentence\tlabel\n{''.join(lines)}", encoding="utf-8")
        written[part] = str(path)
    return written
