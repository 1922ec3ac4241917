"""Texts with what a candidate keeps and what it deletes, on the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from emoprune.contracts import Passage
from emoprune.report.ranking import Entry, Ranking, rank
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import passage, with_unit

__all__ = ["MarkedTexts", "Share", "marked_texts", "shares"]

DELETED_LINE_END = "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"


def marked_texts(run: ReadableRun) -> MarkedTexts | None:
    """Return the texts of the front's best candidate by the first objective and of its knee; None if there are none.

    Test measures what was chosen and chooses nothing: the best is that on select, or where the front was last measured
    before. The unpruned one, of which everything stays, is passed over.
    """
    ranking, marked = rank(run), run.marked
    pruned = [entry for entry in ranking.choice if entry is not ranking.unpruned]
    wanted = [*pruned[:1], *(entry for entry in pruned[1:] if entry.knee)]
    shown = [(entry, marked[entry.id]) for entry in wanted if entry.id in marked]
    return MarkedTexts(ranking, shown) if shown else None


@dataclass(frozen=True, slots=True, eq=False)
class MarkedTexts:
    """Candidates with their texts, as rich draws them: what goes is struck through, or bracketed in plain text."""

    ranking: Ranking
    shown: Sequence[tuple[Entry, Sequence[Passage]]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw a heading and the text of each candidate."""
        styled = console.is_terminal and console.color_system is not None
        for entry, passages in self.shown:
            yield Text()
            yield self._heading(entry)
            yield Padding(_struck(passages) if styled else _bracketed(passages), (0, 0, 0, 2), expand=False)

    def _heading(self, entry: Entry) -> Text:
        numbers = zip(self.ranking.objectives, self.ranking.values(entry).tolist(), strict=True)
        words = ", ".join(f"{each.name} {with_unit(value, each.unit)}" for each, value in numbers)
        notes = "".join(f", {note}" for note in self.ranking.notes(entry))
        return Text(f"candidate {entry.id}{notes}: {words} on {self.ranking.split.value}", style="bold")


def _runs(passages: Sequence[Passage]) -> Iterator[tuple[str, bool]]:
    """Yield neighbours of one kind together; a line end that is deleted ends no line."""
    for kept, own in groupby(passages, key=lambda each: each.kept):
        text = passage("".join(each.text for each in own))
        yield (text if kept else text.replace("\n", DELETED_LINE_END)), kept


def _struck(passages: Sequence[Passage]) -> Text:
    text = Text()
    for words, kept in _runs(passages):
        text.append(words, style="" if kept else "strike dim")
    return text


def _bracketed(passages: Sequence[Passage]) -> Text:
    return Text("".join(words if kept else f"[-{words}-]" for words, kept in _runs(passages)))


@dataclass(frozen=True, slots=True)
class Share:
    """A passage and how many of the front's candidates keep it."""

    text: str
    kept: int
    of: int


def shares(ranking: Ranking, marked: Mapping[int, Sequence[Passage]]) -> list[Share]:
    """Return how many of the front keep each passage; nothing where they are not all choices from one text."""
    texts = [marked[entry.id] for entry in ranking.front if entry.id in marked]
    if not texts or len({tuple(each.text for each in own) for own in texts}) > 1:
        return []
    return [
        Share(passage(column[0].text), sum(each.kept for each in column), len(texts))
        for column in zip(*texts, strict=True)
    ]
