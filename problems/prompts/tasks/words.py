"""The words that answers are: exactly one token each, and no two the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.prompts.scorers.contract import Choices

__all__ = ["LETTERS", "choices_after", "spaced"]

LETTERS = "ABCDEFGHIJ"


def spaced(word: str, ending: str) -> str:
    """Return a word as it follows a text: a space is put between two that have none."""
    return word if ending[-1:].isspace() or word[:1].isspace() else f" {word}"


def choices_after(words: Sequence[str], ending: str, tokenizer: Any | None, *, masked: bool = False) -> Choices:
    """Return the words as they follow the prompt, each with its token.

    Args:
        words: What the answers are called, in the order of the classes.
        ending: The prompt's text after its last placeholder; empty where a mask is filled in.
        tokenizer: The model's; None where it is not at hand, and tokens are then told by their text.
        masked: Whether the words are put in place of a mask.

    Raises:
        ConfigError: A word is not one token, or two are the same.
    """
    context = "x" if masked or not ending else ending
    shown = [spaced(word, context) for word in words]
    twice = next((word for number, word in enumerate(shown) if word in shown[:number]), None)
    if twice is not None:
        raise ConfigError(f"verbalisers: expected a different word for each class, found {twice!r} twice")
    if tokenizer is None:
        return Choices(tuple(shown), (-1,) * len(shown))
    tokens = [_token(word, context, tokenizer) for word in shown]
    for number, token in enumerate(tokens):
        if token in tokens[:number]:
            other = shown[tokens.index(token)]
            raise ConfigError(
                f"verbalisers: {shown[number]!r} and {other!r} are the same token {token} to this model; choose another"
            )
    return Choices(tuple(shown), tuple(tokens))


def _token(word: str, ending: str, tokenizer: Any) -> int:
    before = _ids(ending, tokenizer)
    together = _ids(ending + word, tokenizer)
    own = together[len(before) :]
    if together[: len(before)] != before:
        raise ConfigError(
            f"verbalisers: {word!r} grows together with the end of the prompt, {ending[-20:]!r}, so it is no token of "
            "its own; end the prompt without white space"
        )
    unknown = getattr(tokenizer, "unk_token_id", None)
    if len(own) != 1 or own[0] == unknown:
        parts = [tokenizer.decode([token]) for token in own]
        raise ConfigError(
            f"verbalisers: expected one token, found {len(own)} for {word!r}: {', '.join(map(repr, parts))}; choose a "
            "word that this model knows whole"
        )
    return int(own[0])


def _ids(text: str, tokenizer: Any) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    return found
