"""Which of a classifier's outputs is meant by which word of the data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError

__all__ = ["Classes", "classes_in_order", "classes_of", "named_alike"]

SHOWN = 40  # of the names in a message
_UNNAMED = re.compile(r"LABEL_(\d+)")  # transformers' own names, where nobody gave any
_NUMBER = re.compile(r"(?:LABEL_)?(\d+)(?:\.0)?")


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """A classifier's classes: their `names` in the order of its outputs, and the outputs of the data's words.

    `ids` has an output for each of `words`, in the order in which the data number them. `assumed` says that nothing
    tells which word is which output, so that they are taken in their own order.
    """

    names: tuple[str, ...]
    words: tuple[str, ...]
    ids: NDArray[np.int64]
    assumed: bool = False

    def numbered(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the outputs that labels of the data mean, shape (n,)."""
        return np.asarray(self.ids[labels], dtype=np.int64)

    def of_words(self, words: Sequence[str]) -> Classes:
        """Return the same classes for other data, which number some of the words in another order."""
        ids = np.array([self.ids[self.words.index(word)] for word in words], dtype=np.int64)
        return Classes(self.names, tuple(words), ids)


def classes_in_order(names: Sequence[str]) -> Classes:
    """Return the classes of a classifier that is fitted to the data, whose words it takes in their order."""
    return Classes(tuple(names), tuple(names), np.arange(len(names), dtype=np.int64))


def classes_of(config: Any, words: Sequence[str], given: Sequence[str] = ()) -> Classes:
    """Return which outputs of a trained classifier are meant by the data's words.

    Args:
        config: The model's, with id2label and label2id.
        words: What the data call their classes, in the order in which they are numbered.
        given: The data's words in the order of the model's outputs, where a person says it.

    Raises:
        ConfigError: A word is none of the model's classes, or nothing says which one it is.
    """
    names = _names_of(config)
    if len(words) > len(names):
        raise ConfigError(
            f"model: its classifier knows {len(names)} classes, the data has {len(words)}; {_both(names, words)}"
        )
    if given:
        return _as_given(names, words, given)
    unnamed = all(_UNNAMED.fullmatch(name) for name in names)
    found = _by_name(names, words)
    found = _by_number(names, words) if found is None else found
    if found is not None:
        return Classes(names, tuple(words), found)
    if unnamed and len(words) == len(names):
        own = names if all(re.fullmatch(r"-?\d+", word) for word in words) else tuple(words)
        return Classes(own, tuple(words), np.arange(len(names), dtype=np.int64), assumed=True)
    raise ConfigError(
        f"model: the data's classes are not those of the model's config.json: {_both(names, words)}; rename them in "
        "the data, or say by `labels` which words of the data stand for the model's classes, in the model's order"
    )


def named_alike(config: Any, names: Sequence[str]) -> None:
    """Write names of classes into a config, so that a model's own words are those that it is reported by."""
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}


def _names_of(config: Any) -> tuple[str, ...]:
    by_id = {int(number): str(name) for number, name in config.id2label.items()}
    if sorted(by_id) != list(range(len(by_id))):
        raise ConfigError(f"model: expected id2label in config.json to count from 0, found {sorted(by_id)}; mend it")
    by_name = {str(name): int(number) for name, number in (config.label2id or {}).items()}
    once = [name for name, count in Counter(by_id.values()).items() if count == 1]  # ImageNet calls two classes crane
    if any(by_id.get(by_name.get(name, -1), name) != name for name in once):
        raise ConfigError(
            f"model: id2label and label2id in config.json contradict each other: {by_id} and {by_name}; mend it"
        )
    return tuple(by_id[number] for number in range(len(by_id)))


def _as_given(names: tuple[str, ...], words: Sequence[str], given: Sequence[str]) -> Classes:
    if len(given) != len(names) or len(set(given)) != len(given) or not set(words) <= set(given):
        raise ConfigError(
            f"labels: expected {len(names)} different words, all of the data's among them, in the order of the "
            f"model's classes, found {list(given)}; {_both(names, words)}"
        )
    unnamed = all(_UNNAMED.fullmatch(name) for name in names)
    own = tuple(given) if unnamed else names
    return Classes(own, tuple(words), np.array([list(given).index(word) for word in words], dtype=np.int64))


def _by_name(names: Sequence[str], words: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the outputs of words that are names of classes: as they are, plainly, or the first of several names."""
    for written in (str, _plainly, lambda name: _plainly(name.partition(",")[0])):
        own = [written(name) for name in names]
        asked = [written(word) for word in words]
        if len(set(asked)) == len(asked) and all(own.count(word) == 1 for word in asked):
            return np.array([own.index(word) for word in asked], dtype=np.int64)
    return None


def _plainly(name: str) -> str:
    """Return a name without capital letters, hyphens and spaces."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _by_number(names: Sequence[str], words: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the outputs of words that are numbers: those of outputs, or those in the names, as in `1 star`.

    Raises:
        ConfigError: They may be either, and are not the same.
    """
    numbers = [int(found.group(1)) for found in map(_NUMBER.fullmatch, words) if found]
    if len(numbers) < len(words) or len(set(numbers)) < len(words):
        return None
    places = numbers if max(numbers) < len(names) else None
    named = _numbers_in(names)
    if not all(word[0].isdigit() for word in words) or not set(numbers) <= set(named):
        return None if places is None else np.array(places, dtype=np.int64)
    found = [named.index(number) for number in numbers]
    if places is not None and places != found:
        raise ConfigError(
            f"model: the data's numbers may be those in the model's names or those of its outputs, from 0: "
            f"{_both(names, words)}; say by `labels` which words of the data stand for the model's classes, in the "
            "model's order"
        )
    return np.array(found, dtype=np.int64)


def _numbers_in(names: Sequence[str]) -> list[int]:
    """Return the number in each name; nothing if one has none or several, or two have the same."""
    found = [re.findall(r"\d+", name) for name in names]
    numbers = [int(own[0]) for own in found if len(own) == 1]
    return numbers if len(numbers) == len(names) == len(set(numbers)) else []


def _both(names: Sequence[str], words: Sequence[str]) -> str:
    return f"the model's are {_shown(names)}, the data's {_shown(words)}"


def _shown(names: Sequence[str]) -> str:
    return str(list(names)) if len(names) <= SHOWN else f"{list(names[:SHOWN])} and {len(names) - SHOWN} more"
