"""The front as a terminal table: the unpruned first, then the front from best to worst, then other references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from emoprune.records import Split
from emoprune.report.ranking import Cell, Entry, Ranking, rank
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import plain, shell_word

__all__ = ["FrontTable", "front_table", "nobody"]

UNLIMITED = 10_000  # columns


def front_table(run: ReadableRun, limit: int = 20) -> RenderableType:
    """Return a rich renderable of a run's front, at most `limit` members of it, evenly spread, with knee and best.

    `limit` is at least 3, and 4 where one is the best. The numbers are those of the test split if there are any, else
    of the search split, and the title says which; objectives that do not fit beside each other are written below each
    other.
    """
    ranking = rank(run)
    fewest = 3 + any(entry.best for entry in ranking.front)
    return FrontTable(ranking, plain(run.name), max(fewest, limit))


@dataclass(frozen=True, slots=True, eq=False)
class FrontTable:
    """A ranking as rich draws it, in the columns that the terminal's width allows."""

    ranking: Ranking
    run: str
    limit: int

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the widest form that fits."""
        yield Text(self._title(), style="bold")
        sections = self._sections()
        if any(sections):
            yield self._fitting(sections, console, options)
        yield from self._remarks()

    def _title(self) -> str:
        count = len(self.ranking.front)
        members = "1 candidate" if count == 1 else f"{count} candidates"
        return f"Front of {self.run}: {members}, measured on {self.ranking.split.value}"

    def _remarks(self) -> Iterator[Text]:
        shown, count = len(self._spread()), len(self.ranking.front)
        if count == 0:
            yield Text(nobody(self.ranking))
        if shown < count:
            yield Text(f"{shown} of {count}, evenly spread; {count - shown} are left out. All of them:")
            yield Text(f"  emoprune pareto {shell_word(self.run)} --csv")
        if self.ranking.surpassed:
            yield Text(f"Measured again on select, {len(self.ranking.surpassed)} more are not on the front.")
        if self.ranking.split is Split.SEARCH and count:
            yield Text("These are the numbers the search saw; those on test, which count, are not measured yet.")

    def _spread(self) -> tuple[Entry, ...]:
        """Return at most `limit` members of the front, evenly spread, with both ends, the knee and the best."""
        front = self.ranking.front
        if len(front) <= self.limit:
            return front
        chosen = np.linspace(0, len(front) - 1, self.limit).round().astype(int)
        marked = [position for position, entry in enumerate(front) if entry.knee or entry.best]
        for position in marked:
            others = [place for place in range(1, len(chosen) - 1) if chosen[place] not in marked]
            if position not in chosen and others:
                chosen[min(others, key=lambda place: abs(chosen[place] - position))] = position
        return tuple(front[position] for position in chosen)

    def _sections(self) -> tuple[list[Entry], list[Entry], list[Entry]]:
        """Return the unpruned, the shown part of the front and the other references, nobody twice."""
        unpruned = self.ranking.unpruned
        first = [] if unpruned is None else [unpruned]
        rest = [entry for entry in self._spread() if entry is not unpruned]
        return first, rest, [entry for entry in self.ranking.references if entry is not unpruned]

    def _fitting(
        self, sections: Sequence[Sequence[Entry]], console: Console, options: ConsoleOptions
    ) -> RenderableType:
        for with_changes in (True, False):
            table = self._table(sections, with_changes=with_changes)
            # At the real width a table claims to fit and cuts its numbers off.
            if console.measure(table, options=options.update(width=UNLIMITED)).maximum <= options.max_width:
                return table
        return self._list(sections)

    def _table(self, sections: Sequence[Sequence[Entry]], *, with_changes: bool) -> Table:
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
        table.add_column("candidate", justify="right", no_wrap=True)
        for objective in self.ranking.objectives:
            table.add_column(Text(_heading(objective.name, objective.unit, "\n")), justify="right", no_wrap=True)
            if with_changes:
                table.add_column(Text(f"vs\n{self._origin()}"), justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        cells = self.ranking.cells([entry for section in sections for entry in section])
        for section in sections:
            for entry in section:
                figures = [text for cell in cells[entry.id] for text in _texts(cell)[: 2 if with_changes else 1]]
                table.add_row(str(entry.id), *figures, self._note(entry), style=self._style(entry))
            table.add_section()
        return table

    def _list(self, sections: Sequence[Sequence[Entry]]) -> Table:
        """Write each candidate as a few lines of its own."""
        lines = Table.grid(padding=(0, 1))
        lines.add_column(no_wrap=True)
        lines.add_column()
        cells = self.ranking.cells([entry for section in sections for entry in section])
        for entry in (entry for section in sections for entry in section):
            lines.add_row(Text(f"candidate {entry.id}", style="bold"), self._note(entry))
            for objective, cell in zip(self.ranking.objectives, cells[entry.id], strict=True):
                lines.add_row(Text(f"  {_heading(objective.name, objective.unit, ' ')}"), Text("  ").join(_texts(cell)))
        return lines

    def _note(self, entry: Entry) -> Text:
        return Text(", ".join(self.ranking.notes(entry)))

    def _origin(self) -> str:
        return "unpruned" if self.ranking.unpruned is None else plain(self.ranking.unpruned.name, 20)

    def _style(self, entry: Entry) -> str:
        if entry.knee:
            return "bold"
        return "" if entry.on_front or entry is self.ranking.unpruned else "dim"


def nobody(ranking: Ranking) -> str:
    """Say that the front is empty, for now or for good."""
    if not ranking.over:
        return "No candidate is on the front yet."
    if ranking.constraints:
        return "No candidate is on the front: none that could be measured keeps every constraint."
    return "No candidate is on the front: none could be measured."


def _texts(cell: Cell) -> tuple[Text, Text]:
    return Text(cell.value), Text(cell.change, style="green" if cell.better else "dim")


def _heading(name: str, unit: str, between: str) -> str:
    return f"{name}{between}({plain(unit, 20)})" if unit else name
