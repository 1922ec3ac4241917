"""Methods as a person runs an eye over them: a line for each, under what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from emoprune.report.wording import plain

__all__ = ["Line", "Menu"]

INDENT, GAP = "  ", "  "
MORE = "\nThe whole of it, with options and costs: `emoprune list references` and so on."
PAPER = 24  # columns for where a paper without an arXiv id appeared
LONGEST = 400  # characters of a sentence or a reason


# Its name as configs have it, what it is, what it needs, and its papers' arXiv ids or where they appeared.
Line = tuple[str, str, Sequence[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Menu:
    """Methods by what they are for, such as `references for channels`.

    Sentences that do not fit into a line are cut. To `fit` a terminal, of several papers only the first is named.
    """

    sections: Mapping[str, Sequence[Line]]
    fit: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw a heading for each section and its lines, with what methods need and their papers at the right."""
        drawn = {heading: self._rows(lines) for heading, lines in self.sections.items()}
        natural = max((left.cell_len + right.cell_len for rows in drawn.values() for left, right in rows), default=0)
        width = min(natural, options.max_width)
        for place, (heading, rows) in enumerate(drawn.items()):
            yield Text("\n" * min(place, 1)) + Text(plain(heading, LONGEST), style="bold")
            for left, right in rows:
                left.truncate(max(0, width - right.cell_len), overflow="ellipsis", pad=bool(right))
                yield left + right
        if self.fit:
            yield Text(MORE, style="dim")

    def _rows(self, lines: Sequence[Line]) -> list[tuple[Text, Text]]:
        """Return the left and the right of each line, the sentences below each other."""
        names = [Text(INDENT + plain(name)) for name, *_ in lines]
        room = max(name.cell_len for name in names)
        for name in names:
            name.pad_right(room - name.cell_len)
        return [
            (name + Text(GAP + plain(does, LONGEST)), self._tags(needs, papers))
            for name, (_, does, needs, papers) in zip(names, lines, strict=True)
        ]

    def _tags(self, needs: Sequence[str], papers: Sequence[str]) -> Text:
        named = [Text(plain(paper), style="dim") for paper in papers]
        if self.fit and named:
            named[0].truncate(PAPER, overflow="ellipsis")
            named = [named[0] + Text(f" +{len(named) - 1}" if len(named) > 1 else "")]
        needed = [Text(plain(need), style="yellow") for need in needs]
        return Text().join(Text(GAP) + tag for tag in (*needed, *named))
