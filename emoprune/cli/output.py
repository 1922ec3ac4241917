"""What the commands write to standard output: for a person as text, for a script as JSON with a `schema` field."""

from __future__ import annotations

import json
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from emoprune.doctor.checks import Check, Health, worst
from emoprune.run import Run

if TYPE_CHECKING:  # pandas takes longer to import than `emoprune status` may take
    import pandas as pd

    from emoprune.report.menu import Line

__all__ = [
    "Paper",
    "RunThen",
    "Screen",
    "audit",
    "checks",
    "comparison",
    "front_csv",
    "front_json",
    "front_table",
    "inspection",
    "menu",
    "printable",
    "recovery",
    "repaired",
    "rows",
    "selection",
    "show",
    "status",
    "write_object",
]

VERSION = 1
ALL = 1_000_000  # candidates, or columns of a line that nobody looks at


def write_object(kind: str, members: Mapping[str, Any]) -> None:
    """Write one JSON object on one line, at once; its schema is `emoprune.<kind>/<version>`.

    Raises:
        ValueError: A number is not finite.
    """
    text = json.dumps({"schema": f"emoprune.{kind}/{VERSION}", **members}, allow_nan=False, default=_plain)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _plain(value: object) -> object:
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"expected plain data, found {type(value).__name__}")
    return item()  # numpy's scalars


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as one mapping per row; what was not measured is null."""
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(column): value for column, value in record.items()} for record in records]


def show(kind: str, members: Mapping[str, Any], *, as_json: bool) -> None:
    """Write plain data: as one JSON object, or as indented lines of a name and a value."""
    if as_json:
        write_object(kind, members)
    else:
        sys.stdout.write("".join(f"{printable(line)}\n" for line in _lines(members, "")))


def _lines(members: Mapping[str, Any], indent: str) -> Iterator[str]:
    width = max((len(name) for name in members), default=0)
    for name, value in members.items():
        listed = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
        if isinstance(value, Mapping) and value:
            yield f"{indent}{name}"
            yield from _lines(value, f"{indent}  ")
        elif listed and isinstance(listed[0], Mapping):
            yield f"{indent}{name}"
            yield from _lines({str(number): item for number, item in enumerate(listed)}, f"{indent}  ")
        elif listed is not None:
            yield f"{indent}{name:<{width}}  {', '.join(str(item) for item in listed) or '-'}"
        else:
            yield f"{indent}{name:<{width}}  {'-' if value is None or value == {} else value}"


def printable(text: str) -> str:
    """Return `text` without what could steer a terminal: control characters other than line ends, direction marks."""
    if text.isprintable():
        return text
    return "".join(each for each in text if each == "\n" or each.isprintable() or unicodedata.category(each) == "Zs")


class Screen(Console):
    """A terminal as rich writes to it, on which nothing that a run says can steer it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Yield what is drawn; its texts are made printable, whoever wrote them."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


class Paper(Screen):
    """Standard output as rich writes to it; a reader who leaves is reported, and not taken for the program's end."""

    def on_broken_pipe(self) -> None:
        """Tell the caller.

        Raises:
            BrokenPipeError: Always.
        """
        raise BrokenPipeError


class RunThen(Run):
    """A run as it was after a generation: its front is the one of that time."""

    def __init__(self, path: Path, generation: int) -> None:
        super().__init__(path)
        self._generation = generation

    @property
    def pareto(self) -> pd.DataFrame:
        """The front after the generation, on the search split, and every reference."""
        return self.pareto_at(self._generation)


def menu(sections: Mapping[str, Sequence[Line]]) -> None:
    """Write methods by what they are for, a line for each: as wide as a terminal, or in a pipe as wide as it takes."""
    from emoprune.report.menu import Menu

    seen = Paper().is_terminal
    Paper(width=None if seen else ALL).print(Menu(sections, fit=seen))


def status(run: Run, *, as_json: bool) -> None:
    """Write where a run stands."""
    progress = run.progress
    if as_json:
        write_object("status", {"run": run.name, "path": str(run.path), **progress.as_json()})
        return
    from emoprune.report.terminal import status_panel

    Paper().print(status_panel(run, progress))


def front_json(run: Run, *, wide: bool) -> None:
    """Write the front as one object with a row per candidate, objectives with units, and the reference point."""
    manifest = run.manifest
    facts = {name: manifest.get(name) for name in ("objectives", "constraints", "reference_point")}
    write_object("pareto", {"run": run.name, "path": str(run.path), **facts, "rows": rows(_frame(run, wide=wide))})


def front_csv(run: Run, *, wide: bool) -> None:
    """Write the front as CSV, with the columns of pareto.csv; on a terminal, what is not printable is left out."""
    from emoprune.run.frames import without_formulas

    text = without_formulas(_frame(run, wide=wide)).to_csv(index=False, lineterminator="\n")
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)


def _frame(run: Run, *, wide: bool) -> pd.DataFrame:
    from emoprune.run.frames import with_descriptions

    return with_descriptions(run.pareto, run.descriptions) if wide else run.pareto


def front_table(run: Run, *, wide: bool) -> None:
    """Write the front as a table; `wide` leaves nobody out and says what each candidate keeps."""
    from emoprune.report import terminal

    Paper().print(terminal.front_table(run, ALL) if wide else terminal.front_table(run))
    if wide:
        keeps = {f"candidate {number}": words for number, words in run.descriptions.items()}
        sys.stdout.write("\n")
        show("descriptions", keeps, as_json=False)


def selection(run: Run, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Write a selected candidate, why it is the one, and how to export it."""
    if as_json:
        write_object("selection", found)
        return
    from emoprune.report.selected import selected_text

    Paper().print(selected_text(found, run.objectives))
    word = run.name if run.path.parent == Path("runs") else str(run.path)
    sys.stdout.write(printable(f"\nexport   emoprune export {shlex.quote(word)} {found['candidate']}\n"))


def comparison(found: Mapping[str, Any], page: Path | None, *, as_json: bool, as_csv: bool) -> None:
    """Write runs beside each other, and where their page is."""
    from emoprune.report.compared import compared_text, csv_of

    if as_json:
        write_object("comparison", {**found, "page": None if page is None else str(page)})
    elif as_csv:
        text = csv_of(found)
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    else:
        Paper().print(compared_text(found))
        sys.stdout.write("" if page is None else printable(f"\nwritten to {page}\n"))


def inspection(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Write what a problem says of itself before any search."""
    if as_json:
        write_object("groups", found)
        return
    from emoprune.report.offers import inspection_text

    Paper().print(inspection_text(found))


def audit(run: Run, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Write whether a run's front can be believed."""
    if as_json:
        write_object("audit", {"run": run.name, "path": str(run.path / "audit.json"), **found})
        return
    from emoprune.report.offers import audit_text

    Paper().print(audit_text(found))
    sys.stdout.write(printable(f"\nwritten to {run.path / 'audit.json'}\n"))


def checks(found: Iterable[Check], *, as_json: bool, name: str | None = None) -> bool:
    """Write what the doctor finds, each at once, and return whether something fails; `name` is the run's."""
    listed = []
    for check in found:
        listed.append(check)
        if not as_json:
            sys.stdout.write(printable(f"{check.health.value:<5} {check.name:<17} {check.found}\n"))
            sys.stdout.write(printable(f"{'':<23} -> {check.fix}\n") if check.fix else "")
            sys.stdout.flush()
    if as_json:
        write_object("doctor", {"run": name, "checks": [check.as_json() for check in listed]})
    return worst(listed) is Health.FAIL


def repaired(folder: Path, left_out: Sequence[str], *, as_json: bool) -> None:
    """Write where the repaired copy of a run is, what it lacks, and how to go on."""
    command = f"emoprune resume {shlex.quote(str(folder))}"
    if as_json:
        write_object("repair", {"path": str(folder), "left_out": list(left_out), "try": command})
        return
    lacking = "".join(f"left out: {words}\n" for words in left_out)
    sys.stdout.write(printable(f"\na copy without what is broken: {folder}\n{lacking}go on with it: {command}\n"))


def recovery(run: Run, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Write a recovered candidate's values beside its old ones."""
    if as_json:
        write_object("recover", {"run": run.name, **found})
        return
    from emoprune.report.offers import recovery_text

    Paper().print(recovery_text(found, run.objectives))
    sys.stdout.write(printable(f"\nwritten to {found['path']}\n"))
