"""The words that answers are chosen by, as tokens; what stands between the prompt and them is the tokenizer's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from emoprune.errors import ConfigError
from emoprune.problems.prompts.scorers.choices import Choices, Likelihood

__all__ = ["LETTERS", "Between", "Words", "choices_after"]

LETTERS = "ABCDEFGHIJ"
OPENING = "("  # behind which a word stands without a space, in any language, and does not grow together with it

Between = Literal["auto", "space", "nothing", "ending"]
Words = Sequence[Sequence[str]]  # of each answer


def choices_after(
    words: Words,
    ending: str,
    tokenizer: Any | None,
    *,
    between: Between = "auto",
    masked: bool = False,
    by: Likelihood = "whole",
) -> dict[str, Choices]:
    """Return the words with their tokens as they may follow the prompt, by what stands between: a space, or nothing.

    Args:
        words: What each answer is called, in the order of the classes.
        ending: The prompt's text after its last placeholder; empty where a mask is filled in.
        tokenizer: The model's; None where it is not at hand, and tokens are then told by their text.
        between: Which of them is wanted; `ending` is a space unless the prompt ends in white space, and `auto` is each
            that makes tokens of the words' own, that of the ending first. Behind white space no space is tried.
        masked: Whether the words are put in place of a mask, before which white space may be part of it, so that the
            prompt does not say which tokens fill it.
        by: What of a word's log-likelihood counts.

    Raises:
        ConfigError: Words are no tokens of their own, or two are the same.
    """
    context = "x" if masked or not ending else ending
    contexts = {"nothing": OPENING} if masked else {}
    usual = "nothing" if context[-1:].isspace() else "space"
    wanted = ["space" if between == "space" else "nothing"] if between in ("space", "nothing") else [usual]
    if between == "auto" and usual == "space":
        wanted.append("nothing")
    found: dict[str, Choices] = {}
    refused: list[ConfigError] = []
    for name in wanted:
        shown = [[_joined(word, name) for word in own] for own in words]
        try:
            choices = _choices(shown, contexts.get(name, context), tokenizer, by, masked=masked)
        except ConfigError as error:
            refused.append(error)
            continue
        if tokenizer is None or choices.tokens not in [known.tokens for known in found.values()]:
            found[name] = choices
    if not found:
        raise refused[0]
    return found


def _joined(word: str, between: str) -> str:
    return word if between == "nothing" or word[:1].isspace() else f" {word}"


def _choices(words: Words, context: str, tokenizer: Any | None, by: Likelihood, *, masked: bool) -> Choices:
    shown = [word for own in words for word in own]
    answers = tuple(place for place, own in enumerate(words) for _ in own)
    twice = next((word for number, word in enumerate(shown) if word in shown[:number]), None)
    if twice is not None:
        raise ConfigError(f"verbalisers: expected a different word for each class, found {twice!r} twice")
    if tokenizer is None:
        return Choices(tuple(shown), ((),) * len(shown), answers, by)
    tokens = [_tokens(word, context, tokenizer) for word in shown]
    for number, own in enumerate(tokens):
        if masked and len(own) != 1:
            raise ConfigError(
                f"verbalisers: expected one token, which is all that a mask is filled with, found {len(own)} for "
                f"{shown[number]!r}: {_parts(own, tokenizer)}; choose a word that this model knows whole"
            )
        if own in tokens[:number]:
            other, same = shown[tokens.index(own)], " ".join(map(str, own))
            raise ConfigError(
                f"verbalisers: {shown[number]!r} and {other!r} are the same token {same} to this model; choose another"
            )
    return Choices(tuple(shown), tuple(tokens), answers, by)


def _tokens(word: str, ending: str, tokenizer: Any) -> tuple[int, ...]:
    before = _ids(ending, tokenizer)
    together = _ids(ending + word, tokenizer)
    own = together[len(before) :]
    if together[: len(before)] != before:
        raise ConfigError(
            f"verbalisers: {word!r} grows together with the end of the prompt, {ending[-20:]!r}, so it is no token of "
            "its own; end the prompt without white space"
        )
    if not own:
        raise ConfigError(f"verbalisers: expected a word, found {word!r}, which is no token to this model")
    if getattr(tokenizer, "unk_token_id", None) in own:
        raise ConfigError(
            f"verbalisers: {word!r} is not known to this model, to which it is {_parts(own, tokenizer)}; choose a word "
            "that it knows"
        )
    return tuple(int(token) for token in own)


def _parts(tokens: Sequence[int], tokenizer: Any) -> str:
    return ", ".join(repr(tokenizer.decode([token])) for token in tokens)


def _ids(text: str, tokenizer: Any) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
    return found
