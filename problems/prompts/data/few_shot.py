"""Prompts made of demonstrations: some of the user's own examples, with their answers, before the input."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.marker import BRACES, Marker
from emoprune.problems.prompts.template import Template
from emoprune.problems.storage.located import located

__all__ = ["FewShot", "prompt_text"]

ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class FewShot:
    """A prompt of `shots` demonstrations of each answer.

    `template` is one demonstration, with placeholders for the input and `{answer}` for the answer; the input that the
    prompt is about is the same up to `{answer}`. `instruction` stands before all of it, `separator` between.
    """

    shots: int
    template: str
    instruction: str = ""
    separator: str = "\n\n"

    def __post_init__(self) -> None:
        if self.shots < 0:
            raise ConfigError(f"prompt: shots: expected 0 or more, found {self.shots}")

    def _around(self, known: Collection[str], marker: Marker) -> tuple[Template, Template]:
        """Return the template before the answer and after it.

        Raises:
            ConfigError: It does not have a place for the answer exactly once.
        """
        whole = Template.written(self.template, {*known, ANSWER}, marker)
        if whole.slots.count(ANSWER) != 1:
            raise ConfigError(
                f"prompt: template: expected {marker.around(ANSWER)} once, where a demonstration has its answer, found "
                f"it {whole.slots.count(ANSWER)} times in {self.template[:80]!r}{marker.remark(self.template)}"
            )
        place = whole.slots.index(ANSWER)
        before, after = whole.texts[: place + 1], whole.texts[place + 1 :]
        return Template(before, whole.slots[:place], marker), Template(after, whole.slots[place + 1 :], marker)

    def query(self, known: Collection[str], marker: Marker = BRACES) -> Template:
        """Return the end of the prompt: the template up to the answer, without the space before it.

        Raises:
            ConfigError: It has no placeholder, one that is not known, or one behind the answer.
        """
        before, after = self._around(known, marker)
        if after.slots:
            raise ConfigError(
                f"prompt: template: expected all placeholders before {marker.around(ANSWER)}, where the prompt ends, "
                f"found {marker.around(after.slots[0])} behind it; put it before, or leave it out"
            )
        before.check(known)
        return replace(before, texts=(*before.texts[:-1], before.texts[-1].rstrip(" ")))

    def demonstrations(self, examples: Sequence[Example], answers: Sequence[str | None]) -> list[Example]:
        """Return the first examples of each answer, in turn; None stands for any answer.

        Raises:
            ConfigError: There are too few.
        """
        piles = [[each for each in examples if answer in (each.answer, None)][: self.shots] for answer in answers]
        short = next((answer for answer, pile in zip(answers, piles, strict=True) if len(pile) < self.shots), "")
        if short != "":
            which = "" if short is None else f" with the answer {short!r}"
            raise ConfigError(
                f"prompt: expected {self.shots} examples{which} to show, found fewer; give more rows, or fewer shots"
            )
        return [pile[turn] for turn in range(self.shots) for pile in piles]

    def blocks(
        self, demonstrations: Sequence[Example], words: Mapping[str, str], known: Collection[str], marker: Marker
    ) -> list[Template]:
        """Return what the prompt is joined of: the instruction, each demonstration, and the input.

        An example's own text is never searched for placeholders: it may hold braces.

        Args:
            demonstrations: The examples that are shown.
            words: What each answer is written as.
            known: What placeholders may be called.
            marker: How they are written.
        """
        before, after = self._around(known, marker)
        query, gap = self.query(known, marker), before.texts[-1][len(before.texts[-1].rstrip(" ")) :]
        shown = [
            f"{query.about(each.inputs).rstrip(' ')}{gap}{words.get(each.answer, each.answer).strip()}{after.texts[0]}"
            for each in demonstrations
        ]
        instruction = [Template.written(self.instruction, known, marker)] if self.instruction else []
        return [*instruction, *(Template((text,), (), marker) for text in shown), query]


def prompt_text(given: str) -> str:
    """Return a prompt: the text itself, or what a .txt file of that name holds, without the line end at its end.

    Raises:
        ConfigError: There is no such file, or it cannot be read.
    """
    if not given.endswith(".txt") or "\n" in given:
        return given
    place = located(given)
    if place is None or not Path(place).is_file():
        raise ConfigError(f"prompt: there is no file {given!r} here or beside the config; expected one, or the text")
    try:
        return Path(place).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"prompt: {given} cannot be read as UTF-8: {error}; convert it") from error
