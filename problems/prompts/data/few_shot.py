"""Prompts made of demonstrations: some of the user's own examples, with their answers, before the input."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.template import Template
from emoprune.problems.storage.located import located

__all__ = ["FewShot", "prompt_text"]

ANSWER = "{answer}"


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
        if self.template.count(ANSWER) != 1:
            raise ConfigError(
                f"prompt: template: expected {ANSWER} once, where a demonstration has its answer, found it "
                f"{self.template.count(ANSWER)} times in {self.template[:80]!r}"
            )

    def query(self, known: Collection[str]) -> Template:
        """Return the end of the prompt: the template up to the answer, without the space before it.

        Raises:
            ConfigError: It has no placeholder, one that is not known, or one behind the answer.
        """
        before, _, after = self.template.partition(ANSWER)
        query, behind = Template.written(before.rstrip(" "), known), Template.written(after, known).slots
        if behind:
            raise ConfigError(
                f"prompt: template: expected all placeholders before {ANSWER}, where the prompt ends, found "
                f"{{{behind[0]}}} behind it; put it before, or leave it out"
            )
        query.check(known)
        return query

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

    def prompt(self, demonstrations: Sequence[Example], words: Mapping[str, str], known: Collection[str]) -> Template:
        """Return the prompt with its demonstrations filled in; `words` are what answers are written as.

        An example's own text is never searched for placeholders: it may hold braces.
        """
        query, after = self.query(known), self.template.partition(ANSWER)[2]
        shown = [
            f"{query.about(each.inputs).rstrip(' ')} {words.get(each.answer, each.answer).strip()}{after}"
            for each in demonstrations
        ]
        instruction = [Template.written(self.instruction, known)] if self.instruction else []
        return Template.joined([*instruction, *(Template((text,), ()) for text in shown), query], self.separator)


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
