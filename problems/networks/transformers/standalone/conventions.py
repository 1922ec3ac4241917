"""What a model folder says beside weights, as transformers understands it. Needs no more than transformers."""

from __future__ import annotations

import json
from typing import Any

SENTENCE = "The cat sees 2 dogs, and they like it!"


def conventions(model: Any, tokenizer: Any | None) -> dict[str, Any]:
    """Return how a model generates, whether its embeddings are tied, and how its tokenizer reads, as plain data."""
    generation = getattr(model, "generation_config", None)
    said = {} if generation is None else generation.to_diff_dict()
    found: dict[str, Any] = {
        "generation config": {name: own for name, own in said.items() if not name.startswith(("_", "transformers_"))},
        "tied embeddings": _tied(model),
    }
    if tokenizer is not None:
        found |= {
            "chat template": tokenizer.chat_template,
            "special tokens": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
            "added tokens": tokenizer.get_added_vocab(),
            "vocabulary": len(tokenizer),
            "token ids of a sentence": tokenizer(SENTENCE)["input_ids"],
        }
    plain: dict[str, Any] = json.loads(json.dumps(found, default=str, sort_keys=True))
    return plain


def _tied(model: Any) -> bool:
    outward = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return outward is not None and outward.weight is model.get_input_embeddings().weight
