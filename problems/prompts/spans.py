"""The spans of its text that a prompt is pruned by: its tokens, and its placeholders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.prompts.marker import BRACES, Marker
from emoprune.problems.prompts.template import Template
from emoprune.space import IntArray

__all__ = ["ByToken", "ByWord", "Spans", "Splitter"]

BoolArray = NDArray[np.bool_]


class Splitter(Protocol):
    """Cuts texts into the spans that are kept or deleted."""

    def split(self, text: str) -> list[str]:
        """Return spans of `text` that give it when they are joined."""
        ...

    def count(self, text: str) -> int:
        """Return how long a text is, in the unit that prompts are made shorter in."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ByToken:
    """By the tokens of a model's own tokenizer; what lies between two tokens belongs to the second."""

    tokenizer: Any

    def split(self, text: str) -> list[str]:
        """Return the text of each token; tokens that share a character are one span."""
        if not text:
            return []
        offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        # A token begins where the one before it ends. Offsets may leave out white space, and two tokens may be parts of
        # one character, so a cut is a place that no token crosses.
        cuts = {0, len(text)}
        reached = 0
        for start, end in offsets:
            if start >= reached and reached:
                cuts.add(reached)
            reached = max(reached, end)
        places = sorted(cuts)
        return [text[start:end] for start, end in pairwise(places) if end > start]

    def count(self, text: str) -> int:
        """Return the number of tokens."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"]) if text else 0


@dataclass(frozen=True, slots=True)
class ByWord:
    """By words with the white space before them, for models whose tokenizer is not at hand."""

    def split(self, text: str) -> list[str]:
        """Return the words; white space at the end is a span of its own."""
        cuts = [place for place in range(1, len(text)) if text[place].isspace() and not text[place - 1].isspace()]
        return [text[start:end] for start, end in pairwise([0, *cuts, len(text)]) if end > start]

    def count(self, text: str) -> int:
        """Return the number of words."""
        return len(text.split())


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """A prompt cut into spans: `texts` in order, a placeholder's being as it is written.

    `slots` says which are placeholders, shape (spans,), and `names` what they are called.
    """

    texts: tuple[str, ...]
    slots: BoolArray
    names: tuple[str, ...]
    marker: Marker = BRACES

    @property
    def fixed(self) -> BoolArray:
        """Which spans stay: the placeholders, and the spaces before one, which become a part of what fills it."""
        blank = np.array([text.strip(" ") == "" for text in self.texts], dtype=np.bool_)
        return np.asarray(self.slots | (blank & np.append(self.slots[1:], False)), dtype=np.bool_)

    @classmethod
    def of(cls, template: Template, splitter: Splitter) -> Spans:
        """Cut the texts of a prompt; each placeholder is a span."""
        texts: list[str] = []
        slots: list[bool] = []
        for place, text in enumerate(template.texts):
            own = splitter.split(text)
            texts += own
            slots += [False] * len(own)
            if place < len(template.slots):
                texts.append(template.shown(template.slots[place]))
                slots.append(True)
        return cls(tuple(texts), np.array(slots, dtype=np.bool_), template.slots, template.marker)

    def __len__(self) -> int:
        return len(self.texts)

    def template(self, kept: BoolArray) -> Template:
        """Return what is left of the prompt if the spans of `kept`, shape (spans,), and the placeholders stay."""
        texts = [""]
        for text, slot, stays in zip(self.texts, self.slots.tolist(), kept.tolist(), strict=True):
            if slot:
                texts.append("")
            elif stays:
                texts[-1] += text
        return Template(tuple(texts), self.names, self.marker)

    def filled(self, words: Mapping[str, str], inputs: Sequence[str]) -> list[str]:
        """Return the spans' texts about an example, with `words` in place of the placeholders that none fills."""
        names, given = iter(self.names), iter(inputs)
        texts = []
        for text, slot in zip(self.texts, self.slots.tolist(), strict=True):
            name = next(names) if slot else None
            texts.append(text if name is None else words[name] if name in words else next(given))
        return texts

    def overlapping(self, words: Sequence[str]) -> BoolArray:
        """Say which spans hold a part of one of `words`, wherever these stand in the prompt, shape (spans,)."""
        whole = "".join(self.texts)
        ends = np.cumsum([len(text) for text in self.texts])
        starts = ends - [len(text) for text in self.texts]
        found = np.zeros(len(self), dtype=np.bool_)
        for word in words:
            place = whole.find(word) if word else -1
            while place >= 0:
                found |= (starts < place + len(word)) & (ends > place)
                place = whole.find(word, place + 1)
        return found

    def canonical(self, genomes: IntArray, locked: BoolArray) -> IntArray:
        """Return for each genome of shape (n, spans) the one that keeps the same text with its first spans.

        Of all ways to keep a text, the one that keeps the earliest spans between two locked ones; so `very` of
        `very very` is always the first.
        """
        fixed = genomes.copy()
        bounds = [-1, *np.flatnonzero(self.slots | locked).tolist(), len(self)]
        for before, after in pairwise(bounds):
            run = range(before + 1, after)
            texts = [self.texts[place] for place in run]
            if len(set("".join(texts))) == len("".join(texts)):
                continue  # no text can be kept in two ways
            for row in range(len(fixed)):
                own = fixed[row, before + 1 : after]
                if 0 < own.sum() < len(own):
                    fixed[row, before + 1 : after] = _earliest(texts, own)
        return fixed


def _earliest(texts: Sequence[str], kept: IntArray) -> IntArray:
    """Return the lexicographically largest way to keep the text that `kept` keeps."""
    wanted = "".join(text for text, stays in zip(texts, kept.tolist(), strict=True) if stays)
    # possible[place]: from which positions of the wanted text on the rest of it can be made of the rest of the spans.
    possible = [{len(wanted)}]
    for text in reversed(texts):
        after = possible[-1]
        possible.append(after | {end - len(text) for end in after if wanted[:end].endswith(text)})
    possible.reverse()
    chosen, position = np.zeros_like(kept), 0
    for place, text in enumerate(texts):
        end = position + len(text)
        if wanted.startswith(text, position) and end in possible[place + 1]:
            chosen[place], position = 1, end
    return chosen
