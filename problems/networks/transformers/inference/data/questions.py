"""Questions about something that stands far back in a text: a pass key hidden in prose, one of many pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emoprune.errors import ConfigError

__all__ = ["key_values", "pass_key"]

NOUNS = (
    *("apple", "river", "stone", "candle", "garden", "window", "silver", "winter", "island", "pepper", "violin"),
    *("harbor", "marble", "rabbit", "copper", "ladder", "tunnel", "mirror", "bottle", "carpet", "forest", "lantern"),
)
PAIRS = 0.5  # of the room: pairs, as far as there are nouns


def pass_key(
    tokenizer: Any, filler: Sequence[int], length: int, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Return `length` tokens of prose that hide a number and end by asking for it, and the tokens of the number."""
    key = str(rng.integers(10000, 100000))
    hidden = _tokens(tokenizer, f"\nThe pass key is {key}. Remember it. {key} is the pass key.\n")
    asked, answer = _split(tokenizer, "\nWhat is the pass key? The pass key is", f" {key}")
    room = _room(length - len(hidden) - len(asked), length)
    place = int(rng.integers(room + 1))
    return [*filler[:place], *hidden, *filler[place:room], *asked], answer


def key_values(
    tokenizer: Any, filler: Sequence[int], length: int, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Return `length` tokens that list numbers of things and end by asking for one, and the tokens of its number."""
    pairs = [(str(noun), str(rng.integers(1000, 10000))) for noun in rng.permutation(NOUNS)]
    listed: list[list[int]] = []
    for noun, number in pairs:
        own = _tokens(tokenizer, f"\nThe number of the {noun} is {number}.")
        if len(listed) > 1 and sum(map(len, listed)) + len(own) > length * PAIRS:
            break
        listed.append(own)
    noun, number = pairs[int(rng.integers(len(listed)))]
    asked, answer = _split(tokenizer, f"\nThe number of the {noun} is", f" {number}")
    room = _room(length - sum(map(len, listed)) - len(asked), length)
    place = room // 2
    return [*filler[:place], *(token for own in listed for token in own), *filler[place:room], *asked], answer


def _tokens(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
    return ids


def _split(tokenizer: Any, asked: str, answer: str) -> tuple[list[int], list[int]]:
    """Return the tokens of both texts as they are where they follow each other."""
    before, whole = _tokens(tokenizer, asked), _tokens(tokenizer, asked + answer)
    return before, whole[len(before) :]


def _room(room: int, length: int) -> int:
    if room < 0:
        raise ConfigError(
            f"context: expected {-room} tokens more than {length - 1}, so that a question fits in; set a larger "
            "context, or no questions"
        )
    return room
