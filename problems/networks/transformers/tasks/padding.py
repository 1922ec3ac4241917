"""How a classifier's sentences are filled up: with the token and on the side that its folder says."""

from __future__ import annotations

from typing import Any

import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import LoadedModel
from emoprune.problems.networks.transformers.data.sentences import Padding

__all__ = ["padding_of"]


def padding_of(loaded: LoadedModel, *, own: bool = True) -> Padding:
    """Return how sentences of one batch are made equally long for a model.

    A model that looks for the last token that is no padding goes by its config's token, so that one counts; where
    only the tokenizer names one, it is written into the config.

    Args:
        loaded: The model and its tokenizer.
        own: Whether to follow its folder; else with the tokenizer's token behind the text, as earlier versions did.

    Raises:
        ConfigError: Neither config nor tokenizer names a token, and the model takes no two sentences without it.
    """
    tokenizer: Any = loaded.tokenizer
    token, config = tokenizer.pad_token_id, loaded.model.config
    if not own:
        return Padding(0 if token is None else int(token))
    if config.pad_token_id is None and token is None:
        _check_batches(loaded)
    if config.pad_token_id is None:
        config.pad_token_id = token
    named = config.pad_token_id
    return Padding(0 if named is None else int(named), tokenizer.padding_side == "left")


def _check_batches(loaded: LoadedModel) -> None:
    """Refuse a model that cannot tell two sentences' ends without a token for padding."""
    ids = torch.zeros((2, 2), dtype=torch.int64)
    try:
        with torch.no_grad():
            loaded.model(input_ids=ids, attention_mask=torch.ones_like(ids))
    except ValueError as error:
        end = getattr(loaded.tokenizer, "eos_token", None)
        own = f", such as the one that ends a text, {end!r}," if end else ""
        raise ConfigError(
            f"model: neither the tokenizer nor config.json of {loaded.source.name!r} names a pad token, and "
            f"{loaded.source.architecture} takes no two sentences without one ({error}). Write the token that it was "
            f"trained with{own} into both: tokenizer.pad_token and model.config.pad_token_id, then save_pretrained()"
        ) from error
