"""What is deleted at once: a token, a word, a sentence, or a demonstration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.prompts.spans import ByWord, Spans, Splitter
from emoprune.problems.prompts.template import USER, Template

__all__ = ["BySentence", "Unit", "spans_by"]

Unit = Literal["token", "word", "sentence", "demonstration"]

_SENTENCE = re.compile(
    r"[.!?…]+(?=\s)"
    r"|[.!?…]+[\"'”’)\]]+(?=\s+[^\sa-z]|\s*$)"  # (such as this!) goes on
    r"|[。！？]+[」』”’）]*"
    r"|(?<=\S)(?=\s*\n)"
)
_BLANK = re.compile(r"\n[ \t]*\n\s*")


@dataclass(frozen=True, slots=True)
class BySentence:
    """By sentences and lines, each with the white space before it."""

    def split(self, text: str) -> list[str]:
        """Return the sentences; white space at the end is a span of its own."""
        ends = {found.end() for found in _SENTENCE.finditer(text)}
        places = sorted({0, *ends, len(text.rstrip()), len(text)})
        return [text[start:end] for start, end in pairwise(places) if end > start]

    def count(self, text: str) -> int:
        """Return the number of sentences."""
        return sum(bool(each.strip()) for each in self.split(text))


def spans_by(
    unit: Unit, template: Template, splitter: Splitter, blocks: Sequence[str]
) -> tuple[Spans, NDArray[np.bool_]]:
    """Return the spans that a prompt is cut into, and which of them stay as they belong to the input's own block.

    Args:
        unit: What is deleted at once.
        template: The prompt.
        splitter: Cuts into tokens.
        blocks: The texts that the prompt begins with, if it was made of examples; else blank lines part blocks.
    """
    if unit == "demonstration":
        return _by_block(template, blocks)
    others: dict[str, Splitter] = {"word": ByWord(), "sentence": BySentence()}
    spans = Spans.of(template, others.get(unit, splitter))
    return spans, np.zeros(len(spans), dtype=np.bool_)


def _by_block(template: Template, blocks: Sequence[str]) -> tuple[Spans, NDArray[np.bool_]]:
    begins = set(np.cumsum([len(block) for block in blocks]).tolist())
    texts, slots, stays, offset = list[str](), list[bool](), list[bool](), 0
    for place, text in enumerate(template.texts):
        within = {cut - offset for cut in begins} if blocks else {found.end() for found in _BLANK.finditer(text)}
        places = sorted({0, len(text)} | {cut for cut in within if 0 < cut < len(text)})
        own = [text[start:end] for start, end in pairwise(places) if end > start]
        held = [False] * len(own)
        if own:
            # What stands beside the input without a blank line between belongs to it.
            held[0] = held[0] or (place > 0 and template.slots[place - 1] != USER and 0 not in within)
            held[-1] = held[-1] or (
                place < len(template.slots) and template.slots[place] != USER and len(text) not in within
            )
        texts, slots, stays = [*texts, *own], [*slots, *[False] * len(own)], [*stays, *held]
        offset += len(text)
        if place < len(template.slots):
            shown = template.shown(template.slots[place])
            texts, slots, stays, offset = [*texts, shown], [*slots, True], [*stays, True], offset + len(shown)
    spans = Spans(tuple(texts), np.array(slots, dtype=np.bool_), template.slots, template.marker)
    return spans, np.array(stays, dtype=np.bool_)
