"""Answers that are chosen by being written: where a model says no probabilities, its text says which word it means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.objectives.contract import Answers, Needs
from emoprune.problems.prompts.scorers.contract import Choices, Prompted
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.saying import Reading, answer_of, denied
from emoprune.problems.prompts.tasks.writing import Writing
from emoprune.space import IntArray

__all__ = ["LOST", "Naming"]

LOST = (
    "Answers are written at temperature 0, and what is known of each is whether it is right: there is no reward, no "
    "cross-entropy and no entropy, a prompt that is nearly right looks as one that is far from it, and how much of the "
    "probability lies on the answers is not known. An answer that names none of the words, or several, is wrong; "
    "a word behind a negation is not named."
)


@dataclass(frozen=True, slots=True)
class Naming:
    """Write an answer; `words` are those that stand for each label, and the written one is right if it names the label.

    An answer names the label whose word it is, or else the only one whose words stand in it, as whole words and without
    regard to case. A word within a longer one that stands there, too, is not counted, nor is one behind a negation in
    its clause, as in "not good"; what is thought before an answer is no part of it. With a `reading` by words, all
    words are counted wherever they stand.
    """

    words: Mapping[str, tuple[str, ...]]
    writing: Writing
    reading: Reading = field(default="answer", repr=False)  # the config has it, so no fingerprint needs it

    @property
    def labels(self) -> tuple[str, ...]:
        """What the examples call the answers."""
        return tuple(self.words)

    @property
    def choices(self) -> Choices:
        """None: answers are not chosen."""
        return Choices.none()

    @property
    def answer_tokens(self) -> int:
        """How long an answer may become."""
        return self.writing.limit

    @property
    def answer_end(self) -> str:
        """The text that ends an answer."""
        return self.writing.stop

    @property
    def known(self) -> frozenset[Needs]:
        """Answers of some classes."""
        return frozenset({"prompt", "answers", "classes"})

    def check_answers(self, examples: Sequence[Example], part: str) -> None:
        """Refuse answers that are none of the labels."""
        self._choosing.check_answers(examples, part)

    def check_variety(self, examples: Sequence[Example], part: str) -> list[str]:
        """Refuse answers that are all alike, and say where classes are uneven."""
        return self._choosing.check_variety(examples, part)

    @property
    def _choosing(self) -> Choosing:
        return Choosing(self.labels, Choices.none())

    def answers(self, prompted: Prompted, examples: Sequence[Example], rows: IntArray) -> Answers:
        """Write an answer to some of the examples, and see which label it names."""
        said = prompted.continuations(rows, self.writing.limit, self.writing.stop)
        gold = [self.labels.index(examples[row].answer) for row in rows.tolist()]
        hits = [
            self.named(text, examples[row].options) == answer
            for text, row, answer in zip(said, rows.tolist(), gold, strict=True)
        ]
        counts = self._choosing.counts(examples)
        return Answers(
            np.array(hits, dtype=np.float64),
            np.zeros((len(rows), 0)),
            np.array(gold, dtype=np.int64),
            counts,
            tuple(said),
        )

    def named(self, text: str, options: int | None = None) -> int | None:
        """Return the place of the label that an answer names, None if it names none or several.

        Args:
            text: The answer.
            options: How many of the labels it may name, None for all.
        """
        offered = list(self.words.values())[:options]
        answer = answer_of(text) if self.reading == "answer" else text
        said = _plain(answer)
        whole = [place for place, own in enumerate(offered) if said in map(_plain, own)]
        if len(whole) == 1:
            return whole[0]
        if self.reading == "answer":
            said = _plain(answer.strip().replace("\n", " ; "))  # a line is a clause, which white space does not show
        found = {
            (start, end): place for place, own in enumerate(offered) for word in own for start, end in _in(said, word)
        }
        inner = {
            span for span in found for other in found if span != other and other[0] <= span[0] and span[1] <= other[1]
        }
        named = {place for span, place in found.items() if span not in inner and not self._denied(said, span)}
        return named.pop() if len(named) == 1 else None

    def _denied(self, said: str, span: tuple[int, int]) -> bool:
        return self.reading == "answer" and denied(said, span[0])


def _plain(text: str) -> str:
    """Return a text without case, runs of white space, and outer signs, unless it is of nothing else."""
    plain = " ".join(text.casefold().split())
    return re.sub(r"^[\W_]+|[\W_]+$", "", plain) or plain


def _in(said: str, word: str) -> list[tuple[int, int]]:
    own = _plain(word)
    return [found.span() for found in re.finditer(rf"(?<!\w){re.escape(own)}(?!\w)", said)] if own else []
