"""The tokens of a model that begin a word, and one of them for each cluster of their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.storage.located import located

__all__ = ["clustered", "given_words", "whole_words"]

FloatArray = NDArray[np.float64]

BEGINNINGS = ("\u0120", "\u2581")  # what byte-level and SentencePiece tokenizers put before a token that begins a word
CONTINUATION = "##"  # what WordPiece puts before one that does not


def whole_words(tokenizer: Any) -> dict[str, int]:
    """Return every token that begins a word and is no special one, by its text, in the order of the tokens.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).
    """
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    marked = any(token.startswith(BEGINNINGS) for token, _ in vocabulary)
    found: dict[str, int] = {}
    for token, number in vocabulary:
        begins = token.startswith(BEGINNINGS) if marked else not token.startswith(CONTINUATION)
        text = tokenizer.decode([number]).strip()
        if number not in special and begins and text and "\ufffd" not in text and _is_one(tokenizer, text, number):
            found.setdefault(text, number)
    return found


def _is_one(tokenizer: Any, text: str, number: int) -> bool:
    """Whether a word is this token when it stands behind a space, as it will."""
    ids = tokenizer(f" {text}", add_special_tokens=False)["input_ids"]
    return list(ids) == [number]


def clustered(words: Sequence[str], embeddings: FloatArray, clusters: int) -> list[str]:
    """Return the word nearest to the centre of each cluster of the words' embeddings, shape (words, width), each once.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774), with k-means++ as there.
    """
    from sklearn.cluster import KMeans

    if clusters >= len(words):
        return list(words)
    centres = KMeans(clusters, n_init=1, max_iter=50, random_state=0).fit(embeddings).cluster_centers_
    # Squared distances without the part that is the same for all words of a centre.
    nearest = ((embeddings**2).sum(axis=1)[None, :] - 2 * centres @ embeddings.T).argmin(axis=1)
    return [words[place] for place in sorted(set(nearest.tolist()))]


def given_words(given: str | Sequence[str]) -> list[str]:
    """Return a user's own words: a list, or a text file with one a line.

    Raises:
        ConfigError: There is no such file, or there are too few words.
    """
    words = list(given) if not isinstance(given, str) else _lines(given)
    different = list(dict.fromkeys(word.strip() for word in words if word.strip()))
    if len(different) < 2:
        raise ConfigError(f"words: expected two or more, found {len(different)}")
    return different


def _lines(name: str) -> list[str]:
    place = located(name)
    if place is None or not place.is_file():
        raise ConfigError(f"words: there is no file {name!r} here or beside the config; expected one word a line")
    try:
        return place.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"words: {name} cannot be read as UTF-8: {error}; convert it") from error
